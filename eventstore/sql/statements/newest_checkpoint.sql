-- The newest checkpoint of an origin.
SELECT origin, size, root, note FROM fidelog.checkpoints
WHERE tenant_id = $1 AND origin = $2 ORDER BY size DESC LIMIT 1
