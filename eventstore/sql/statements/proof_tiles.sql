-- Full tiles: of the levels $2 at the places $3.
SELECT wanted.level, wanted.index, t.hashes
FROM unnest($2::smallint[], $3::bigint[]) AS wanted (level, index)
CROSS JOIN LATERAL (
    SELECT hashes FROM fidelog.tiles
    WHERE tenant_id = $1 AND tiles.level = wanted.level AND tiles.index = wanted.index LIMIT 1
) AS t
