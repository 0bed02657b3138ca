-- Whether a checkpoint of a size from $3 to before $4 was published.
SELECT EXISTS (
    SELECT 1 FROM fidelog.checkpoints
    WHERE tenant_id = $1 AND origin = $2 AND size >= $3::bigint AND size < $4::bigint)
