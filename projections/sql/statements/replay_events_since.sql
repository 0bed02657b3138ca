-- What was appended to the streams $3 after position $2: read under the lock, where little is.
SELECT stream, type, schema_version::int, data, event_id::text, position, version, actor, on_behalf_of, recorded_at
FROM fidelog.events
WHERE tenant_id = $1 AND position > $2::bigint AND stream = ANY ($3::text[])
ORDER BY position
