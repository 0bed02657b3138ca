-- The first stream after $2 and below $3.
SELECT stream FROM fidelog.events
WHERE tenant_id = $1 AND stream > $2 AND stream < $3
ORDER BY stream, version LIMIT 1
