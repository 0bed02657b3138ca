SELECT position FROM fidelog.tail_checkpoints WHERE tenant_id = $1 AND name = 'audit_index'
