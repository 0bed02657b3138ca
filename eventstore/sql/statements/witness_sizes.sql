-- Sizes below $3 of the origin $2 that have cosignatures, the largest first, with the cosignatures and when the last came.
SELECT size, array_agg(line ORDER BY witness), max(received_at)
FROM fidelog.cosignatures
WHERE tenant_id = $1 AND origin = $2 AND size < $3::bigint
GROUP BY size ORDER BY size DESC LIMIT $4::int
