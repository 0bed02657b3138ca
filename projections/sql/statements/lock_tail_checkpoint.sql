-- Makes the tail's checkpoint if it is new, and locks it until the batch is handled.
INSERT INTO fidelog.tail_checkpoints (tenant_id, name, position) VALUES ($1, $2, 0)
ON CONFLICT (tenant_id, name) DO UPDATE SET updated_at = clock_timestamp()
RETURNING position
