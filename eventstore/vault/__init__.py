"""Personal values: sealed under one data key a subject, wrapped by a master key kept outside the database (P8)."""
