-- The client $5's tasks in the states $2, of the agent $6 if given, created after the position $3, oldest first, at most
-- $4; with keys.
SELECT t.task_id::text, t.client_id, t.agent_name, t.status, t.priority::int, t.attempt::int, t.payload::text,
       t.result::text, t.error::text, t.claimed_by, t.claim_token::text, t.lease_expires_at, t.completed_version,
       t.completed_token::text, t.created_position, t.created_at, t.updated_at, t.version, t.position,
       t.fold_version::int,
       t.client_id, k.key_id::text, k.epoch, k.wrapped
FROM (
    SELECT * FROM fidelog.agent_tasks
    WHERE tenant_id = $1 AND client_id = $5 AND created_position > $3::bigint
      AND status = ANY ($2::text[]) AND ($6::text IS NULL OR agent_name = $6)
    ORDER BY created_position LIMIT $4::bigint
) AS t
LEFT JOIN LATERAL (
    -- Ordered, so that only the primary key will do, whatever the table held when the plan was made.
    SELECT key_id, epoch, wrapped FROM fidelog.client_keys
    WHERE tenant_id = $1 AND subject = t.client_id ORDER BY subject LIMIT 1
) AS k ON true
ORDER BY t.created_position
