-- Indexes the first $3 events after position $2; gives the last one's position. Fails unless every event got a row.
WITH batch AS MATERIALIZED (
    SELECT position, stream, type, subjects, actor, correlation_id, recorded_at FROM fidelog.events
    WHERE tenant_id = $1 AND position > $2::bigint
    ORDER BY position LIMIT $3::bigint
), indexed AS (
    INSERT INTO fidelog.audit_index (
        tenant_id, subject, position, leads, stream, type, actor, correlation_id, decision_id, recorded_at)
    SELECT $1, about.subject, e.position, about.subject = coalesce(e.subjects[1], ''), e.stream, e.type, e.actor,
           e.correlation_id, CASE WHEN e.stream LIKE 'decision-%' THEN substr(e.stream, 10) END, e.recorded_at
    FROM batch AS e
    CROSS JOIN LATERAL (
        SELECT DISTINCT subject
        FROM unnest(CASE WHEN cardinality(e.subjects) = 0 THEN ARRAY[''] ELSE e.subjects END) AS named (subject)
    ) AS about
    RETURNING leads
)
SELECT (SELECT max(position) FROM batch),
       fidelog.expect_rows('audit_index', (SELECT count(*) FROM indexed WHERE leads), (SELECT count(*) FROM batch))
