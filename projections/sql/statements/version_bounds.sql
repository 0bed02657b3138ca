-- The newest versions of the stream $2 at the positions $3 and $4.
SELECT fidelog.version_at($1, $2, $3::bigint), fidelog.version_at($1, $2, $4::bigint)
