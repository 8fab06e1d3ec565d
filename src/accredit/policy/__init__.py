"""The one decision: only this room makes a Permit."""
