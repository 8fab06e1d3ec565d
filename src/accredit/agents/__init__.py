"""Agents: who they are, their credentials, their state and revocation epoch."""
