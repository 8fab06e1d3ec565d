"""Strict parsing, bearer authentication and problem documents for the rooms that speak HTTP."""
