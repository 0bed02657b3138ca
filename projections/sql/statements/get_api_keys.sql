-- The tenant's API keys by id, and when each was last used.
SELECT a.keys::text,
       (SELECT json_object_agg(u.key_id, to_char(u.last_used_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
        FROM fidelog.api_key_uses AS u WHERE u.tenant_id = $1)::text
FROM fidelog.administration AS a WHERE a.tenant_id = $1 AND a.log_id = 'admin'
