-- Open tasks in the order of their creation, from the position $2 on, at most $3.
SELECT t.created_position, t.task_id::text, t.agent_name, t.priority::int, t.lease_expires_at, t.fold_version::int
FROM unnest(ARRAY['pending', 'claimed']) AS wanted (status)
CROSS JOIN LATERAL (
    SELECT created_position, task_id, agent_name, agent_tasks.priority, lease_expires_at, fold_version
    FROM fidelog.agent_tasks
    WHERE tenant_id = $1 AND status = wanted.status AND created_position > $2::bigint
    ORDER BY agent_tasks.created_position LIMIT $3::bigint
) AS t
ORDER BY t.created_position LIMIT $3::bigint
