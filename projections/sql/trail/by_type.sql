SELECT position AS place, position FROM fidelog.audit_index
WHERE tenant_id = $1 AND type = {type} AND leads AND position > {after} AND position < {below}
ORDER BY position {order} LIMIT {bound}
