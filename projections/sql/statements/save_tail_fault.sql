-- Why the tail stands after position $4; nothing where another process got further meanwhile.
UPDATE fidelog.tail_checkpoints SET fault = $3, updated_at = clock_timestamp()
WHERE tenant_id = $1 AND name = $2 AND position = $4::bigint
