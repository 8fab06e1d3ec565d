"""The gateway, served on a real socket in front of real servers."""
