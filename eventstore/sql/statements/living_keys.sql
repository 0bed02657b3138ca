-- The living keys of the subjects after $2, at most $3, in order.
SELECT subject, key_id::text, epoch, wrapped FROM fidelog.client_keys
WHERE tenant_id = $1 AND subject > $2 AND wrapped IS NOT NULL
ORDER BY subject LIMIT $3::bigint
