"""What proves that the log was not changed: leaves, Merkle tree, tiles, signed checkpoints. No database in here."""
