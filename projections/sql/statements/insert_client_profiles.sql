WITH saved AS (
    INSERT INTO fidelog.client_profiles (
        tenant_id, client_id, full_name, risk_profile, created_at, updated_at, standing, version, position,
        fold_version)
    SELECT $1, s.client_id, s.full_name, s.risk_profile, s.created_at, s.updated_at, s.standing, s.version,
           s.position, $10::bigint
    FROM unnest($2::text[], $3::json[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::json[], $8::bigint[],
                $9::bigint[]) AS s (client_id, full_name, risk_profile, created_at, updated_at, standing, version, position)
    RETURNING 1)
SELECT fidelog.expect_rows('client_profiles', count(*), $11::bigint) FROM saved
