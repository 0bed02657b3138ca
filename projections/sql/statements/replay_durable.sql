-- In a transaction: its commit waits for the disk, although those of this session else do not.
SET LOCAL synchronous_commit = on
