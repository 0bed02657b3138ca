-- The rows with ids from $2 up to and without $3, by id; null is no bound.
DECLARE live NO SCROLL CURSOR FOR
SELECT client_id, full_name, risk_profile, created_at, updated_at, standing, version, position, fold_version::int
FROM fidelog.client_profiles
WHERE tenant_id = $1 AND ($2::text IS NULL OR client_id >= $2) AND ($3::text IS NULL OR client_id < $3)
ORDER BY client_id
