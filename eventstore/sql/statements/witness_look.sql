-- How far the log goes, and its newest checkpoint, of whatever origin. All that is asked while nothing is new.
SELECT coalesce(head.position, 0), newest.origin, newest.size, newest.signed_at
FROM (SELECT 1) AS one
LEFT JOIN LATERAL (
    SELECT position FROM fidelog.events WHERE tenant_id = $1 ORDER BY position DESC LIMIT 1
) AS head ON true
LEFT JOIN LATERAL (
    SELECT origin, size, signed_at FROM fidelog.checkpoints WHERE tenant_id = $1 ORDER BY signed_at DESC LIMIT 1
) AS newest ON true
