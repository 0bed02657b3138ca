SELECT position AS place, position, type FROM fidelog.audit_index
WHERE tenant_id = $1 AND actor = {actor} AND leads AND position > {after} AND position < {below}
ORDER BY position {order} LIMIT {bound}
