-- All events of the command that appended the event at stream $2, version $3; a command has at most 250.
SELECT e.tenant_id, e.position, e.stream, e.version, e.event_id::text, e.type, e.schema_version::int, e.data::text, e.subjects,
       e.actor, e.on_behalf_of, e.command_id::text, e.correlation_id, e.causation_id::text, e.idempotency_key,
       e.request_hash, e.effective_at, e.recorded_at
FROM (
    -- Bounds computed here: under row-level security arithmetic in the condition keeps it from using the index.
    SELECT position - 250 AS above, position + 250 AS below, command_id FROM fidelog.events
    WHERE tenant_id = $1 AND stream = $2 AND version = $3::bigint LIMIT 1
) AS found
CROSS JOIN LATERAL (
    SELECT * FROM fidelog.events
    WHERE tenant_id = $1 AND position > found.above AND position < found.below
    ORDER BY position
) AS e
WHERE e.command_id = found.command_id
ORDER BY e.position
