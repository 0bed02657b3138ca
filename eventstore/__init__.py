"""The append-only log on PostgreSQL: writer, reading, key vault, migrations, embedded server."""
