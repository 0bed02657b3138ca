SELECT tenant_id, name, position FROM fidelog.tail_checkpoints ORDER BY tenant_id, name
