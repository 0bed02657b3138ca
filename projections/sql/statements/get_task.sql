-- The row, with the key of the person it is about.
SELECT t.task_id::text, t.client_id, t.agent_name, t.status, t.priority::int, t.attempt::int, t.payload::text,
       t.result::text, t.error::text, t.claimed_by, t.claim_token::text, t.lease_expires_at, t.completed_version,
       t.completed_token::text, t.created_position, t.created_at, t.updated_at, t.version, t.position,
       t.fold_version::int,
       t.client_id, k.key_id::text, k.epoch, k.wrapped
FROM (
    -- Ordered, so that only the primary key will do, whatever the table held when the plan was made.
    SELECT * FROM fidelog.agent_tasks
    WHERE tenant_id = $1 AND agent_tasks.task_id >= $2::uuid ORDER BY agent_tasks.task_id LIMIT 1
) AS t
LEFT JOIN fidelog.client_keys AS k ON k.tenant_id = t.tenant_id AND k.subject = t.client_id
WHERE t.task_id = $2::uuid
