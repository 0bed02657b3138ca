-- Indexes the events after position $2 up to $3; gives how far the index has got then. Fails unless every row was written.
WITH source AS MATERIALIZED (
    SELECT * FROM fidelog.audit_index_rows
    WHERE tenant_id = $1 AND position > $2::bigint AND position <= $3::bigint
), indexed AS (
    INSERT INTO fidelog.audit_index (
        tenant_id, subject, position, leads, stream, type, actor, correlation_id, decision_id, recorded_at)
    SELECT tenant_id, subject, position, leads, stream, type, actor, correlation_id, decision_id, recorded_at
    FROM source
    RETURNING 1
)
SELECT coalesce((SELECT max(position) FROM source), (
           -- Nothing there: past the end, or a hole in a log that was tampered with, which is not for the index to judge.
           SELECT $3::bigint FROM fidelog.events WHERE tenant_id = $1 AND position > $3::bigint ORDER BY position LIMIT 1
       ), $2::bigint),
       fidelog.expect_rows('audit_index', (SELECT count(*) FROM indexed), (SELECT count(*) FROM source))
