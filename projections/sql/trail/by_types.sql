-- Several types drive only when nothing else is asked, so {bound} is a page of each; the page merges them.
SELECT found.position AS place, found.position
FROM unnest({types}::text[]) AS named (type)
CROSS JOIN LATERAL (
    SELECT position FROM fidelog.audit_index
    WHERE tenant_id = $1 AND type = named.type AND leads AND position > {after} AND position < {below}
    ORDER BY position {order} LIMIT {bound}
) AS found
