"""The log: events, the Merkle tree over them, tiles, checkpoints and proofs."""
