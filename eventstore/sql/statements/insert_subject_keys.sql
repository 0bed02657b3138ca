WITH made AS (
    INSERT INTO fidelog.client_keys (tenant_id, subject, key_id, epoch, wrapped)
    SELECT $1, k.subject, k.key_id, k.epoch, k.wrapped
    FROM unnest($2::text[], $3::uuid[], $4::bigint[], $5::bytea[]) AS k (subject, key_id, epoch, wrapped)
    RETURNING 1)
SELECT fidelog.expect_rows('client_keys', count(*), $6::bigint) FROM made
