"""The web pages at /console."""
