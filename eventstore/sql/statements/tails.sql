SELECT tenant_id, name, position, fault FROM fidelog.tail_checkpoints ORDER BY tenant_id, name
