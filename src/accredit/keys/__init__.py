"""Signing keys, sealed at rest by the master key."""
