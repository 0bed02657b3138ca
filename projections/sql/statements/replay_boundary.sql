-- The stream in which the event lies that is $4 events after the beginning of stream $2, if it is below $3.
SELECT stream FROM fidelog.events
WHERE tenant_id = $1 AND stream >= $2 AND stream < $3
ORDER BY stream, version OFFSET $4::bigint LIMIT 1
