"""Side-by-side measurements: ours and its peers, alternately, on one PostgreSQL. No figure is asserted anywhere."""
