-- Rows of the officer's index for the events after position $1 up to $2.
INSERT INTO fidelog.audit_index (
    tenant_id, subject, position, leads, stream, type, actor, correlation_id, decision_id, recorded_at)
SELECT tenant_id, subject, position, leads, stream, type, actor, correlation_id, decision_id, recorded_at
FROM fidelog.audit_index_rows WHERE tenant_id = 'default' AND position > $1::bigint AND position <= $2::bigint
ORDER BY position
