"""The HTTP client, against servers that misbehave."""
