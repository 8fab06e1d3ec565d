"""Accredit: an identity provider, secrets broker and policy gateway for AI agents."""
