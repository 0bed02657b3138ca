WITH saved AS (
    INSERT INTO fidelog.administration (
        tenant_id, log_id, keys, created_at, updated_at, version, position, fold_version)
    SELECT $1, s.log_id, s.keys, s.created_at, s.updated_at, s.version, s.position, $8::bigint
    FROM unnest($2::text[], $3::json[], $4::timestamptz[], $5::timestamptz[], $6::bigint[], $7::bigint[])
        AS s (log_id, keys, created_at, updated_at, version, position)
    RETURNING 1)
SELECT fidelog.expect_rows('administration', count(*), $9::bigint) FROM saved
