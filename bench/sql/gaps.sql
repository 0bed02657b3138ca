-- What the guard of the log refuses, of a whole log at once: events, the newest position, the sum of the streams' newest
-- versions, and whether time went back. Positions, and versions of a stream, are unique and begin at 1: all three numbers
-- are equal exactly when there is no gap.
SELECT (SELECT count(*) FROM fidelog.events), (SELECT max(position) FROM fidelog.events),
       (SELECT sum(newest) FROM (SELECT max(version) AS newest FROM fidelog.events GROUP BY tenant_id, stream) AS streams),
       EXISTS (SELECT 1 FROM (
           SELECT recorded_at < lag(recorded_at) OVER (PARTITION BY tenant_id ORDER BY position) AS back FROM fidelog.events
       ) AS steps WHERE back)
