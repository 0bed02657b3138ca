INSERT INTO fidelog.tiles (tenant_id, level, index, hashes)
SELECT $1, level, index, hashes FROM unnest($2::smallint[], $3::bigint[], $4::bytea[]) AS one(level, index, hashes)
