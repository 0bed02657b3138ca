-- The events of the streams from $2 up to and without $3, stream by stream: what folding needs and no more.
DECLARE events NO SCROLL CURSOR FOR
SELECT stream, type, schema_version::int, data, event_id::text, position, version, actor, on_behalf_of, recorded_at
FROM fidelog.events
WHERE tenant_id = $1 AND stream >= $2 AND stream < $3
ORDER BY stream, version
