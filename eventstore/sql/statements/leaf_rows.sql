-- Rows as leaf_of takes them: its parameters in their order, each as the leaf has it (docs/spec/leaf.md).
SELECT actor, causation_id::text, command_id::text, correlation_id, data::text,
       to_char(effective_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), event_id::text, format::int,
       encode(idempotency_key, 'hex'), on_behalf_of, position,
       to_char(recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), encode(request_hash, 'hex'),
       schema_version::int, stream, subjects, tenant_id, type, version
FROM fidelog.events
WHERE tenant_id = $1 AND position > $2::bigint
ORDER BY position LIMIT $3::bigint
