-- The database's clock, and tasks whose lease ended after $2 and is over by now, at most $3, that the fold $4 can read.
SELECT clock_timestamp(), ARRAY(
    SELECT task_id::text FROM fidelog.agent_tasks
    WHERE tenant_id = $1 AND status = 'claimed' AND lease_expires_at > $2::timestamptz
      AND lease_expires_at <= clock_timestamp() AND fold_version <= $4::bigint
    ORDER BY lease_expires_at LIMIT $3::bigint)
