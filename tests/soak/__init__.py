"""`make soak`: kills, replay under load, mutated requests and a held snapshot, each part also small enough for pytest."""
