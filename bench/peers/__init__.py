"""What ours is measured against: each a server of its own, as its authors would write it."""
