-- Rows to be inserted again in this transaction. One of a fold newer than $3 stays.
DELETE FROM fidelog.administration AS c USING unnest($2::text[]) AS wanted (id)
WHERE c.tenant_id = $1 AND c.log_id = wanted.id AND c.fold_version <= $3::bigint
