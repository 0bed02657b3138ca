-- People erased after the position $2, in order, a hundred at most, each with open tasks, $3 at most; or with none.
SELECT k.subject, k.destroyed_position, t.task_id::text
FROM (
    SELECT subject, destroyed_position FROM fidelog.client_keys
    WHERE tenant_id = $1 AND wrapped IS NULL AND destroyed_position > $2::bigint
    ORDER BY destroyed_position LIMIT 100
) AS k
LEFT JOIN LATERAL (
    SELECT task_id FROM fidelog.agent_tasks
    WHERE tenant_id = $1 AND client_id = k.subject AND status = ANY ('{pending,claimed}')
    ORDER BY created_position LIMIT $3::bigint
) AS t ON true
ORDER BY k.destroyed_position
