SELECT line FROM fidelog.cosignatures
WHERE tenant_id = $1 AND origin = $2 AND size = $3::bigint ORDER BY witness
