-- Events of one category of streams at positions after $2 up to $3: their names lie from $4 up to, but not including, $5.
SELECT tenant_id, position, stream, version, event_id::text, type, schema_version::int, data::text, subjects, actor,
       on_behalf_of, command_id::text, correlation_id, causation_id::text, idempotency_key, request_hash, effective_at,
       recorded_at
FROM fidelog.events
WHERE tenant_id = $1 AND position > $2::bigint AND position <= $3::bigint AND stream >= $4 AND stream < $5
ORDER BY position
