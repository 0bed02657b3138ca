-- The $3 newest checkpoints of the origin $2, each with its cosignatures, when the last came, and how long ago the first.
SELECT c.size, c.note, coalesce(s.lines, '{}'), s.last, s.seconds
FROM (
    SELECT size, note FROM fidelog.checkpoints
    WHERE tenant_id = $1 AND origin = $2 ORDER BY size DESC LIMIT $3::int
) AS c
CROSS JOIN LATERAL (
    SELECT array_agg(line ORDER BY witness) AS lines, max(received_at) AS last,
           extract(epoch FROM clock_timestamp() - min(received_at))::float8 AS seconds
    FROM fidelog.cosignatures WHERE tenant_id = $1 AND origin = $2 AND size = c.size
) AS s
ORDER BY c.size DESC
