-- An error if anything was appended to the streams $3 after position $2; else the time, read under the lock.
SELECT fidelog.expect_rows('events', count(*), 0), clock_timestamp()
FROM fidelog.events
WHERE tenant_id = $1 AND position > $2::bigint AND stream = ANY ($3::text[])
