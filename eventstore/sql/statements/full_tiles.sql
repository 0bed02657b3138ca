SELECT index, hashes FROM fidelog.tiles
WHERE tenant_id = $1 AND level = $2::int AND index >= $3::bigint AND index < $3::bigint + $4::bigint
ORDER BY index
