SELECT c.*
FROM unnest($2::text[]) AS wanted (id)
CROSS JOIN LATERAL (
    SELECT client_id, full_name::text, risk_profile, created_at, updated_at, standing::text, version, position,
           fold_version::int
    FROM fidelog.client_profiles WHERE tenant_id = $1 AND client_id = wanted.id LIMIT 1
) AS c
