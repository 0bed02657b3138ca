INSERT INTO fidelog.checkpoints (tenant_id, origin, size, root, note) VALUES ($1, $2, $3::bigint, $4, $5)
