-- P8: of the subjects $2 only tombstones are left, each with the position $3 of the event that says so, all recorded at $4.
-- Somebody whom a restored log does not know gets one too: $5 are ids for them, $6 the epoch in use.
WITH destroyed AS (
    INSERT INTO fidelog.client_keys (tenant_id, subject, key_id, epoch, wrapped, destroyed_at, destroyed_position)
    SELECT $1, d.subject, d.key_id, $6::bigint, NULL, $4::timestamptz, d.position
    FROM unnest($2::text[], $3::bigint[], $5::uuid[]) AS d (subject, position, key_id)
    ON CONFLICT (tenant_id, subject) DO UPDATE SET
        wrapped = NULL, destroyed_at = excluded.destroyed_at, destroyed_position = excluded.destroyed_position
    RETURNING 1)
SELECT fidelog.expect_rows('client_keys', count(*), $7::bigint) FROM destroyed
