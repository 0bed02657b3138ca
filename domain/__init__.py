"""Pure deciders, one file each. Standard library only."""
