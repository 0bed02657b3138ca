-- Of the first $4 rows of the index after (subject $2, position $3): those that no event calls for, or that come before
-- their turn ($5 is how far the index has got); and how far that was. The last row has only the latter.
WITH part AS MATERIALIZED (
    SELECT subject, position FROM fidelog.audit_index
    WHERE tenant_id = $1 AND (subject, position) > ($2, $3::bigint)
    ORDER BY subject, position LIMIT $4::bigint
)
SELECT p.position, p.subject, NULL::bigint
FROM part AS p
WHERE p.position > $5::bigint OR NOT EXISTS (
    SELECT 1 FROM fidelog.audit_index_rows AS r
    WHERE r.tenant_id = $1 AND r.position = p.position AND r.subject = p.subject)
UNION ALL
SELECT * FROM (
    SELECT position, subject, (SELECT count(*) FROM part) FROM part ORDER BY part.subject DESC, part.position DESC LIMIT 1
) AS last
