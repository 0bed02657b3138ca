-- Streams whose versions are not 1, 2, 3 …, with a position in them to look at: where the versions are no longer as many.
SELECT stream, count(*), min(version), max(version)
FROM fidelog.events
WHERE tenant_id = %(tenant)s
GROUP BY stream
HAVING count(*) <> max(version) OR min(version) <> 1
ORDER BY stream COLLATE "C" LIMIT 1
