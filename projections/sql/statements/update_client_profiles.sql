-- For rows known to exist. ON CONFLICT finds each through the primary key whatever the plan; a join would be
-- planned once, perhaps on an empty table, and may then scan the tenant.
WITH saved AS (
    INSERT INTO fidelog.client_profiles (
        tenant_id, client_id, full_name, risk_profile, created_at, updated_at, standing, version, position,
        fold_version)
    SELECT $1, s.client_id, s.full_name, s.risk_profile, s.created_at, s.updated_at, s.standing, s.version,
           s.position, $10::bigint
    FROM unnest($2::text[], $3::json[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::json[], $8::bigint[],
                $9::bigint[]) AS s (client_id, full_name, risk_profile, created_at, updated_at, standing, version, position)
    ON CONFLICT (tenant_id, client_id) DO UPDATE SET
        full_name = excluded.full_name, risk_profile = excluded.risk_profile, created_at = excluded.created_at,
        updated_at = excluded.updated_at, standing = excluded.standing, version = excluded.version,
        position = excluded.position, fold_version = excluded.fold_version
    RETURNING 1)
SELECT fidelog.expect_rows('client_profiles', count(*), $11::bigint) FROM saved
