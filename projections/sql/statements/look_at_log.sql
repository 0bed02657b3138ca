-- How far the tail has got, how far it could get, and the fault recorded for it. All that an idle tail asks.
SELECT c.position, coalesce(head.position, 0), c.fault
FROM fidelog.tail_checkpoints AS c
LEFT JOIN LATERAL (
    SELECT position FROM fidelog.events WHERE tenant_id = $1 ORDER BY position DESC LIMIT 1
) AS head ON true
WHERE c.tenant_id = $1 AND c.name = $2
