-- Another process may have been first; its line says the same.
INSERT INTO fidelog.cosignatures (tenant_id, origin, size, witness, line) VALUES ($1, $2, $3::bigint, $4, $5)
ON CONFLICT DO NOTHING
