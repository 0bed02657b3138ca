-- The tiles of a level from an index up to another.
SELECT index, hashes FROM fidelog.tiles
WHERE tenant_id = %(tenant)s AND level = %(level)s AND index >= %(first)s AND index < %(end)s
ORDER BY index
