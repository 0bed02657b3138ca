SELECT position AS place, position, stream, type, actor FROM fidelog.audit_index
WHERE tenant_id = $1 AND subject = {client_id} AND position > {after} AND position < {below}
ORDER BY position {order} LIMIT {bound}
