"""Attacks, each named after where it comes from."""
