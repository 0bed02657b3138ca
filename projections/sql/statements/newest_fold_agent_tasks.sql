SELECT max(fold_version)::int FROM fidelog.agent_tasks WHERE tenant_id = $1
