-- The rows of a tenant after a position up to another: the columns in the order of a leaf's members, each as it stands there
-- (docs/spec/leaf.md). What has no form there, and so was never written by the rules, comes as what no leaf has: times that
-- are infinite or have no year of four digits as other text, arrays that are not plain lists as null.
SELECT actor, causation_id::text, command_id::text, correlation_id, data::text,
       CASE WHEN effective_at >= '0001-01-01 00:00:00+00' AND effective_at < '10000-01-01 00:00:00+00'
            THEN to_char(effective_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') ELSE effective_at::text END,
       event_id::text, format::int, encode(idempotency_key, 'hex'), on_behalf_of, position,
       CASE WHEN recorded_at >= '0001-01-01 00:00:00+00' AND recorded_at < '10000-01-01 00:00:00+00'
            THEN to_char(recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') ELSE recorded_at::text END,
       encode(request_hash, 'hex'), schema_version::int, stream,
       CASE WHEN subjects = '{}' OR (array_ndims(subjects) = 1 AND array_lower(subjects, 1) = 1) THEN subjects END,
       tenant_id, type, version
FROM fidelog.events
WHERE tenant_id = %(tenant)s AND position > %(after)s AND position <= %(last)s
ORDER BY position
