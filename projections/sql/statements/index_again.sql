-- Puts the rows (position of $2, subject of $3) that events call for into the index.
INSERT INTO fidelog.audit_index (
    tenant_id, subject, position, leads, stream, type, actor, correlation_id, decision_id, recorded_at)
SELECT r.tenant_id, r.subject, r.position, r.leads, r.stream, r.type, r.actor, r.correlation_id, r.decision_id,
       r.recorded_at
FROM unnest($2::bigint[], $3::text[]) AS wanted (position, subject)
CROSS JOIN LATERAL (
    SELECT * FROM fidelog.audit_index_rows
    WHERE tenant_id = $1 AND position = wanted.position AND subject = wanted.subject
) AS r
