"""Access tokens: issued with a Permit, verified into a Caller."""
