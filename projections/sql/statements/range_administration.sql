-- The rows with ids from $2 up to and without $3, by id; null is no bound.
DECLARE live NO SCROLL CURSOR FOR
SELECT log_id, keys, created_at, updated_at, version, position, fold_version::int
FROM fidelog.administration
WHERE tenant_id = $1 AND ($2::text IS NULL OR log_id >= $2) AND ($3::text IS NULL OR log_id < $3)
ORDER BY log_id
