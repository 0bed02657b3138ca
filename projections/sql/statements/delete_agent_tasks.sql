-- Rows to be inserted again in this transaction. One of a fold newer than $3 stays.
DELETE FROM fidelog.agent_tasks AS t USING unnest($2::text[]::uuid[]) AS wanted (id)
WHERE t.tenant_id = $1 AND t.task_id = wanted.id AND t.fold_version <= $3::bigint
