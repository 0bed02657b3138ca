-- Appends a batch at the positions after $2, all recorded at $3. Fails unless every row sent was written.
WITH appended AS (
    INSERT INTO fidelog.events (
        tenant_id, position, format, stream, version, event_id, type, schema_version, data, subjects, actor,
        on_behalf_of, command_id, correlation_id, causation_id, idempotency_key, request_hash, recorded_at)
    SELECT $1, $2::bigint + e.nth, 1, e.stream, e.version, e.event_id, e.type, e.schema_version, e.data,
           string_to_array(e.subjects, ','), e.actor, e.on_behalf_of, e.command_id, e.correlation_id, e.causation_id,
           e.idempotency_key, e.request_hash, $3::timestamptz
    FROM unnest($4::text[], $5::bigint[], $6::uuid[], $7::text[], $8::bigint[], $9::json[], $10::text[], $11::text[],
                $12::text[], $13::uuid[], $14::text[], $15::uuid[], $16::bytea[], $17::bytea[])
        WITH ORDINALITY AS e (stream, version, event_id, type, schema_version, data, subjects, actor,
            on_behalf_of, command_id, correlation_id, causation_id, idempotency_key, request_hash, nth)
    RETURNING 1)
SELECT fidelog.expect_rows('events', count(*), $18::bigint) FROM appended
