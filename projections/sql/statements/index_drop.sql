-- Takes the rows (position of $2, subject of $3) out of the index.
DELETE FROM fidelog.audit_index AS a
USING unnest($2::bigint[], $3::text[]) AS wrong (position, subject)
WHERE a.tenant_id = $1 AND a.subject = wrong.subject AND a.position = wrong.position
