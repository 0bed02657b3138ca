-- The tenant's key wrapped anew under the epoch $2.
UPDATE fidelog.tenant_keys SET epoch = $2::bigint, wrapped = $3 WHERE tenant_id = $1 AND epoch < $2::bigint
