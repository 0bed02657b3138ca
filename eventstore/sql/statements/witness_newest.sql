-- The tenant's newest checkpoint. Origins are few, checkpoints are many: each origin is found by one descent of the key,
-- and of each the largest size by another.
WITH RECURSIVE origins AS (
    (SELECT origin FROM fidelog.checkpoints WHERE tenant_id = $1 ORDER BY origin LIMIT 1)
    UNION ALL
    SELECT (
        SELECT c.origin FROM fidelog.checkpoints AS c
        WHERE c.tenant_id = $1 AND c.origin > o.origin ORDER BY c.origin LIMIT 1
    )
    FROM origins AS o WHERE o.origin IS NOT NULL
)
SELECT o.origin, c.size, c.signed_at
FROM origins AS o CROSS JOIN LATERAL (
    SELECT size, signed_at FROM fidelog.checkpoints
    WHERE tenant_id = $1 AND origin = o.origin ORDER BY size DESC LIMIT 1
) AS c
ORDER BY c.signed_at DESC LIMIT 1
