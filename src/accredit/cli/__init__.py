"""The command accredit: arguments to HTTP calls."""
