-- P8: the data keys of the subjects $2; a tombstone has no wrapped key.
SELECT k.subject, k.key_id::text, k.epoch, k.wrapped
FROM unnest($2::text[]) AS wanted (subject)
CROSS JOIN LATERAL (
    SELECT subject, key_id, epoch, wrapped FROM fidelog.client_keys
    WHERE tenant_id = $1 AND subject = wanted.subject LIMIT 1
) AS k
