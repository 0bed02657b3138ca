SELECT tenant_id, position, stream, version, event_id::text, type, schema_version::int, data::text, subjects, actor,
       on_behalf_of, command_id::text, correlation_id, causation_id::text, idempotency_key, request_hash, effective_at,
       recorded_at
FROM fidelog.events
WHERE tenant_id = $1 AND stream = $2
ORDER BY version DESC LIMIT $3::bigint
