-- How far the log goes, how far it is sealed, and when it was sealed last. All that an idle sealer asks.
SELECT coalesce(head.position, 0), newest.size, newest.signed_at
FROM (SELECT 1) AS one
LEFT JOIN LATERAL (
    SELECT position FROM fidelog.events WHERE tenant_id = $1 ORDER BY position DESC LIMIT 1
) AS head ON true
LEFT JOIN LATERAL (
    SELECT size, signed_at FROM fidelog.checkpoints WHERE tenant_id = $1 AND origin = $2 ORDER BY size DESC LIMIT 1
) AS newest ON true
