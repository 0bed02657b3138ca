UPDATE fidelog.tail_checkpoints SET position = $3::bigint, fault = NULL, updated_at = clock_timestamp()
WHERE tenant_id = $1 AND name = $2
