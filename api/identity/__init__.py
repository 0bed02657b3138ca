"""Who asks, for which tenant, and what they may do."""
