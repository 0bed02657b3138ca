SELECT t.*
-- Cast before the join: under row-level security a cast in the condition keeps it from using the index.
FROM unnest($2::text[]::uuid[]) AS wanted (id)
-- Two bounds and an order, so that only the primary key will do: with an equation a plan made on an empty table may take
-- another index of the tenant's and read all of it later. (One bound would read the next task where there is none.)
CROSS JOIN LATERAL (
    SELECT task_id::text, client_id, agent_name, status, priority::int, attempt::int, payload::text, result::text,
           error::text, claimed_by, claim_token::text, lease_expires_at, completed_version, completed_token::text,
           created_position, created_at, updated_at, version, position, fold_version::int
    FROM fidelog.agent_tasks
    WHERE tenant_id = $1 AND agent_tasks.task_id >= wanted.id AND agent_tasks.task_id <= wanted.id
    ORDER BY agent_tasks.task_id LIMIT 1
) AS t
