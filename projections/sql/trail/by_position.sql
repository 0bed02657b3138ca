SELECT position AS place, position FROM fidelog.events
WHERE tenant_id = $1 AND position > {after} AND position < {below}
ORDER BY position {order} LIMIT {bound}
