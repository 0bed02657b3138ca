-- Of the subjects $2 those that are no tombstone: alive, or not known at all.
SELECT wanted.subject FROM unnest($2::text[]) AS wanted (subject)
WHERE NOT EXISTS (
    SELECT 1 FROM fidelog.client_keys AS k
    WHERE k.tenant_id = $1 AND k.subject = wanted.subject AND k.wrapped IS NULL)
