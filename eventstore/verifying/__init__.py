"""Verification of a whole log in the database: rows, leaves, tiles and checkpoints, each against the others.

A log is cut into ranges of 65,536 leaves, each the leaves of one tile of the second level, and ranges are given to worker
processes (ranges, workers). What they give is put together to the roots that checkpoints name (joining); what does not
fit is a finding with a position and a cause (findings, telling). The verdict of it all is in verdicts.
"""
