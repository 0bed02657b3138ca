-- Makes the tail's checkpoint if it is new.
INSERT INTO fidelog.tail_checkpoints (tenant_id, name, position) VALUES ($1, $2, 0) ON CONFLICT DO NOTHING
