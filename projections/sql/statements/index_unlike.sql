-- Rows that the index should have for the events after position $2 up to $3 and that it lacks or has otherwise: what it
-- should hold, then (from `there` on) what it holds.
SELECT r.position, r.subject, r.leads, r.stream, r.type, r.actor, r.correlation_id, r.decision_id, r.recorded_at,
       i.there, i.leads, i.stream, i.type, i.actor, i.correlation_id, i.decision_id, i.recorded_at
FROM fidelog.audit_index_rows AS r
LEFT JOIN LATERAL (
    SELECT true AS there, a.* FROM fidelog.audit_index AS a
    WHERE a.tenant_id = $1 AND a.subject = r.subject AND a.position = r.position LIMIT 1
) AS i ON true
WHERE r.tenant_id = $1 AND r.position > $2::bigint AND r.position <= $3::bigint
  AND (i.there IS NULL OR (i.leads, i.stream, i.type, i.actor, i.correlation_id, i.decision_id, i.recorded_at)
       IS DISTINCT FROM (r.leads, r.stream, r.type, r.actor, r.correlation_id, r.decision_id, r.recorded_at))
ORDER BY r.position, r.subject
