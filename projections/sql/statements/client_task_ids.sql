-- Ids of the client $2's tasks created after the position $3 and up to $4, oldest first, at most $5.
SELECT task_id::text, created_position FROM fidelog.agent_tasks
WHERE tenant_id = $1 AND client_id = $2 AND created_position > $3::bigint AND created_position <= $4::bigint
ORDER BY created_position LIMIT $5::bigint
