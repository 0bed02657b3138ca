-- The checkpoint that was signed last, of whatever origin.
SELECT origin, size, root, note FROM fidelog.checkpoints
WHERE tenant_id = $1 ORDER BY signed_at DESC LIMIT 1
