-- The tenant's lock, or an error: what follows in the same trip is never done without it.
WITH locked AS (SELECT 1 FROM fidelog.logs WHERE tenant_id = $1 FOR NO KEY UPDATE)
SELECT fidelog.expect_rows('logs', count(*), 1) FROM locked
