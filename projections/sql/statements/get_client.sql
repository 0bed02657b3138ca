-- The row, with the key of the person it is about.
SELECT c.client_id, c.full_name::text, c.risk_profile, c.created_at, c.updated_at, c.standing::text,
       c.version, c.position, c.fold_version::int,
       c.client_id, k.key_id::text, k.epoch, k.wrapped
FROM fidelog.client_profiles AS c
LEFT JOIN fidelog.client_keys AS k ON k.tenant_id = c.tenant_id AND k.subject = c.client_id
WHERE c.tenant_id = $1 AND c.client_id = $2
