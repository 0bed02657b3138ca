-- Every tenant's newest event.
SELECT l.tenant_id, coalesce(head.position, 0), head.recorded_at
FROM fidelog.logs AS l
LEFT JOIN LATERAL (
    SELECT position, recorded_at FROM fidelog.events WHERE tenant_id = l.tenant_id ORDER BY position DESC LIMIT 1
) AS head ON true
ORDER BY l.tenant_id
