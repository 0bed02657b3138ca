-- One insert of one event a commit, with every column that Fidelog's own statement writes and values of the same sizes.
-- Positions have no gap (a trigger sees to it), so clients of one tenant could only queue behind one another: each
-- client is a tenant of its own and counts its positions itself. The tenant is named once a session.
-- Ids without an index, the sealed data and the request hash are constants: making them would cost the peer time.
\set position :position + 1
\if :position = 1
SELECT set_config('fidelog.tenant_id', 'peer-' || :round || '-' || :client_id, false);
\endif
INSERT INTO fidelog.events (
    tenant_id, position, format, stream, version, event_id, type, schema_version, data, subjects, actor,
    on_behalf_of, command_id, correlation_id, causation_id, idempotency_key, request_hash, recorded_at)
VALUES (
    current_setting('fidelog.tenant_id'), :position::bigint, 1, 'client-w-' || lpad(:position::text, 12, '0'), 1, :event_id::uuid,
    :type, 1, :data::json, ARRAY[:subject::text], :actor,
    NULL, :command_id::uuid, :correlation_id, NULL, substr(sha256(int8send(:position::bigint)), 1, 16), :request_hash::bytea,
    clock_timestamp());
