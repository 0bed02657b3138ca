"""Replay: read models checked against the log, and brought level with it, while everything goes on.

Whole streams are folded range by range (chunks, folding), beside the rows of the same range and within one snapshot
(comparing); rows that differ are replaced under the tenant's lock (healing). Ranges are given to worker processes
(workers, running). `Replayable` is what all that asks of a read model.
"""
