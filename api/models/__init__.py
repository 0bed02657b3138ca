"""Bodies, queries and answers, by area: each pydantic model both validates and documents."""
