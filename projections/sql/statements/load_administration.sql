SELECT c.*
FROM unnest($2::text[]) AS wanted (id)
CROSS JOIN LATERAL (
    SELECT log_id, keys::text, created_at, updated_at, version, position, fold_version::int
    FROM fidelog.administration WHERE tenant_id = $1 AND log_id = wanted.id LIMIT 1
) AS c
