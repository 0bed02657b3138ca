-- Versions of clients' streams in a log of $1 events. $2: tasks of a block, $3: clients that it onboards.
INSERT INTO bench.fill_versions (position, version)
SELECT position, row_number() OVER (PARTITION BY client ORDER BY position)
FROM bench.fill_placed(1, $1::bigint, $2::bigint, $3::bigint) WHERE type LIKE 'Client%'
ON CONFLICT DO NOTHING
