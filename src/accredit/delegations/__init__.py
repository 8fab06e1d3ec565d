"""Delegations: a person lets an agent act for them."""
