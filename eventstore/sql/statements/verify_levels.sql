-- Tiles of the levels above the two lowest, of which there is one for millions of events; all of them, in order.
SELECT level::int, index, hashes FROM fidelog.tiles
WHERE tenant_id = %(tenant)s AND level >= 2
ORDER BY level, index
