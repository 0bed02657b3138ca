-- Held until the end of the transaction: of all that bring the tenant's rows level one at a time asks for its lock, so that
-- a write never queues behind two of them.
SELECT pg_advisory_xact_lock(hashtextextended('fidelog replay ' || $1, 0))
