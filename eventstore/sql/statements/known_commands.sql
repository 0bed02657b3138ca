-- P5: the commands already recorded under any of the keys $2, each with all its events (they stand side by side).
-- A key of 32 bytes, as logs were begun with, is known by its first 16: it lies between those and the longest of them.
SELECT wanted.key,
       e.tenant_id, e.position, e.stream, e.version, e.event_id::text, e.type, e.schema_version::int, e.data::text,
       e.subjects, e.actor, e.on_behalf_of, e.command_id::text, e.correlation_id, e.causation_id::text,
       e.idempotency_key, e.request_hash, e.effective_at, e.recorded_at
FROM (SELECT key, key || decode(repeat('ff', 17), 'hex') AS last FROM unnest($2::bytea[]) AS keys (key)) AS wanted
CROSS JOIN LATERAL (
    -- Bounds computed here: under row-level security arithmetic in the condition keeps it from using the index.
    SELECT position, position + 250 AS bound, command_id FROM fidelog.events
    WHERE tenant_id = $1 AND idempotency_key >= wanted.key AND idempotency_key <= wanted.last LIMIT 1
) AS first
CROSS JOIN LATERAL (
    SELECT * FROM fidelog.events
    WHERE tenant_id = $1 AND position >= first.position AND position < first.bound
    ORDER BY position
) AS e
WHERE e.command_id = first.command_id
