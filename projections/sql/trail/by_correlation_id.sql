SELECT position AS place, position, stream, type, actor, decision_id FROM fidelog.audit_index
WHERE tenant_id = $1 AND correlation_id = {correlation_id} AND leads AND position > {after} AND position < {below}
ORDER BY position {order} LIMIT {bound}
