SELECT position AS place, position, stream, type, actor FROM fidelog.audit_index
WHERE tenant_id = $1 AND decision_id = {decision_id} AND decision_id IS NOT NULL AND leads
      AND position > {after} AND position < {below}
ORDER BY position {order} LIMIT {bound}
