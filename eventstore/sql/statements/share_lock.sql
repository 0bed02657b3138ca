-- Waits for the batch that is being written, if any: whatever commits later is recorded later than now.
SELECT 1 FROM fidelog.logs WHERE tenant_id = $1 FOR SHARE
