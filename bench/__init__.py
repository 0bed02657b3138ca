"""Side-by-side measurements: ours and its peers, alternately, on the same PostgreSQL. No figure is asserted anywhere."""
