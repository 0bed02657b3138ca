-- All events of the streams $2 at positions up to $3, each stream's in order.
SELECT e.*
FROM unnest($2::text[]) AS wanted (stream)
CROSS JOIN LATERAL (
    SELECT tenant_id, position, events.stream, version, event_id::text, type, schema_version::int, data::text, subjects,
           actor, on_behalf_of, command_id::text, correlation_id, causation_id::text, idempotency_key, request_hash,
           effective_at, recorded_at
    FROM fidelog.events
    WHERE tenant_id = $1 AND events.stream = wanted.stream AND position <= $3::bigint
    ORDER BY version
) AS e
