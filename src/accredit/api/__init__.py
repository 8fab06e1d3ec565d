"""The management API under /api/v1; one file a noun, the nouns of the commands."""
