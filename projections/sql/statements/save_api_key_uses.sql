INSERT INTO fidelog.api_key_uses (tenant_id, key_id, last_used_at)
SELECT $1, used.key_id, used.last_used_at
FROM unnest($2::text[], $3::timestamptz[]) AS used (key_id, last_used_at)
ON CONFLICT (tenant_id, key_id) DO UPDATE SET last_used_at = greatest(api_key_uses.last_used_at, excluded.last_used_at)
