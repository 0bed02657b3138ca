-- An error if anything was appended to the streams $3 after position $2; else the time, read under the lock. What came since
-- is read first: it is little, and the streams are many.
WITH since AS MATERIALIZED (SELECT stream FROM fidelog.events WHERE tenant_id = $1 AND position > $2::bigint)
SELECT fidelog.expect_rows('events', count(*), 0), clock_timestamp()
FROM since
WHERE stream = ANY ($3::text[])
