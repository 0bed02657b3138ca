-- The newest checkpoint of the origin $2 that a witness cosigned, with the cosignatures; no row where none ever did.
SELECT found.size, c.root, c.note,
       ARRAY(SELECT w.line FROM fidelog.cosignatures AS w
             WHERE w.tenant_id = $1 AND w.origin = $2 AND w.size = found.size ORDER BY w.witness)
FROM (
    SELECT size FROM fidelog.cosignatures WHERE tenant_id = $1 AND origin = $2 ORDER BY size DESC LIMIT 1
) AS found
JOIN fidelog.checkpoints AS c ON c.tenant_id = $1 AND c.origin = $2 AND c.size = found.size
