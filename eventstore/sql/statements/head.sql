-- The newest position (0 in an empty log), its time, and the database's clock, read after the lock.
SELECT coalesce(head.position, 0), head.recorded_at, clock_timestamp()
FROM (SELECT 1) AS one
LEFT JOIN LATERAL (
    SELECT position, recorded_at FROM fidelog.events WHERE tenant_id = $1 ORDER BY position DESC LIMIT 1
) AS head ON true
