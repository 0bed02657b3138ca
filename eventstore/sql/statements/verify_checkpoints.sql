-- The checkpoints whose trees end within a range of leaves, in order of size.
SELECT origin, size, root, note FROM fidelog.checkpoints
WHERE tenant_id = %(tenant)s AND size > %(after)s AND size <= %(last)s
ORDER BY size, origin
