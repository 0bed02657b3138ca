-- How far each tail has got; the sealer too, which keeps its place in checkpoints.
SELECT tenant_id, name, position, fault FROM fidelog.tail_checkpoints WHERE name <> 'seal'
UNION ALL
SELECT l.tenant_id, 'seal', coalesce(newest.size, 0), t.fault
FROM fidelog.logs AS l
LEFT JOIN LATERAL (
    SELECT size FROM fidelog.checkpoints WHERE tenant_id = l.tenant_id ORDER BY signed_at DESC LIMIT 1
) AS newest ON true
LEFT JOIN fidelog.tail_checkpoints AS t ON t.tenant_id = l.tenant_id AND t.name = 'seal'
WHERE newest.size IS NOT NULL OR t.fault IS NOT NULL
ORDER BY 1, 2
