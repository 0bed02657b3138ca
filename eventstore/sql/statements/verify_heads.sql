-- A tenant's newest position; the first one below 1, which there never is; the newest tile of the two lowest levels, -1 where
-- there is none; the newest checkpoint with its origin, and none where nothing was signed.
SELECT coalesce((SELECT position FROM fidelog.events WHERE tenant_id = %(tenant)s ORDER BY position DESC LIMIT 1), 0),
       (SELECT position FROM fidelog.events WHERE tenant_id = %(tenant)s AND position < 1 ORDER BY position LIMIT 1),
       coalesce((SELECT index FROM fidelog.tiles WHERE tenant_id = %(tenant)s AND level = 0 ORDER BY index DESC LIMIT 1), -1),
       coalesce((SELECT index FROM fidelog.tiles WHERE tenant_id = %(tenant)s AND level = 1 ORDER BY index DESC LIMIT 1), -1),
       newest.size, newest.origin, newest.root
FROM (SELECT 1) AS one
LEFT JOIN LATERAL (
    SELECT size, origin, root FROM fidelog.checkpoints WHERE tenant_id = %(tenant)s
    ORDER BY size DESC, signed_at DESC LIMIT 1
) AS newest ON true
