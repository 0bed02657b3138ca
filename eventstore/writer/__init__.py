"""The writer: every command of every tenant goes through it, in batches, one transaction each."""
