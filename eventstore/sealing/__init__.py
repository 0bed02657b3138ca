"""Sealing: the log's events are hashed into its Merkle tree, and the tree's head is signed (docs/adr/0015-sealing.md)."""
