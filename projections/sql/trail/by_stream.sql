SELECT version AS place, position, type, actor FROM fidelog.events
WHERE tenant_id = $1 AND stream = {stream} AND version > {after} AND version < {below}
ORDER BY version {order} LIMIT {bound}
