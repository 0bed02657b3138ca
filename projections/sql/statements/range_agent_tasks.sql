-- The rows with ids from $2 up to and without $3, by id; null is no bound. A uuid is ordered as its text is.
DECLARE live NO SCROLL CURSOR FOR
SELECT task_id::text, client_id, agent_name, status, priority::int, attempt::int, payload, result, error, claimed_by,
       claim_token::text, lease_expires_at, completed_version, completed_token::text, created_position, created_at,
       updated_at, version, position, fold_version::int
FROM fidelog.agent_tasks
WHERE tenant_id = $1 AND ($2::text IS NULL OR task_id >= $2::text::uuid)
  AND ($3::text IS NULL OR task_id < $3::text::uuid)
ORDER BY agent_tasks.task_id  -- the column: the text of that name above would be sorted
