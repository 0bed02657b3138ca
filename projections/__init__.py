"""Read models and their queries, the tail runner, and the wiring of domain and store."""
