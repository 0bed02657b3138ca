-- Held until the batch is handled: a second process with this tail waits, and then finds it done.
SELECT position FROM fidelog.tail_checkpoints WHERE tenant_id = $1 AND name = $2 FOR UPDATE
