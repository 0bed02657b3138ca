-- For each agent of $2 its first $3 pending tasks, by priority, then age.
SELECT wanted.agent_name, t.*
FROM unnest($2::text[], $3::bigint[]) AS wanted (agent_name, number)
CROSS JOIN LATERAL (
    SELECT task_id::text, client_id, agent_name, status, priority::int, attempt::int, payload::text, result::text,
           error::text, claimed_by, claim_token::text, lease_expires_at, completed_version, completed_token::text,
           created_position, created_at, updated_at, version, position, fold_version::int
    FROM fidelog.agent_tasks
    WHERE tenant_id = $1 AND agent_name = wanted.agent_name AND status = 'pending'
    ORDER BY agent_tasks.priority, agent_tasks.created_position LIMIT wanted.number
) AS t
