-- One sealer per tenant at a time; the lock ends with the session.
SELECT pg_try_advisory_lock(hashtextextended('fidelog seal ' || $1::text, 0))
