-- Living keys of the subjects after $2 that are wrapped under an epoch before $3, at most $4, in order.
SELECT subject, key_id::text, epoch, wrapped FROM fidelog.client_keys
WHERE tenant_id = $1 AND subject > $2 AND epoch < $3::bigint AND wrapped IS NOT NULL
ORDER BY subject LIMIT $4::bigint
