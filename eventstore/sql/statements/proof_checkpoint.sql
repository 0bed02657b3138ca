-- The newest published checkpoint of the origin $2, with the cosignatures of its witnesses.
SELECT found.size, found.root, found.note,
       ARRAY(SELECT c.line FROM fidelog.cosignatures AS c
             WHERE c.tenant_id = $1 AND c.origin = $2 AND c.size = found.size ORDER BY c.witness)
FROM (
    SELECT size, root, note FROM fidelog.checkpoints
    WHERE tenant_id = $1 AND origin = $2 ORDER BY size DESC LIMIT 1
) AS found
