"""The enforcement point: every call of an agent passes here."""
