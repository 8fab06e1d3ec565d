"""The authorization server: OAuth 2.1 endpoints and metadata."""
