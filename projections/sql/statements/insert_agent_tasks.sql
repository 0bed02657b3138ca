WITH saved AS (
    INSERT INTO fidelog.agent_tasks (
        tenant_id, task_id, client_id, agent_name, status, priority, attempt, payload, result, error, claimed_by,
        claim_token, lease_expires_at, completed_version, completed_token, created_position, created_at, updated_at,
        version, position, fold_version)
    SELECT
        $1, s.task_id, s.client_id, s.agent_name, s.status, s.priority, s.attempt, s.payload, s.result, s.error,
        s.claimed_by, s.claim_token, s.lease_expires_at, s.completed_version, s.completed_token, s.created_position,
        s.created_at, s.updated_at, s.version, s.position, $21::bigint
    FROM unnest(
            $2::uuid[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::json[], $9::json[],
            $10::json[], $11::text[], $12::uuid[], $13::timestamptz[], $14::bigint[], $15::uuid[], $16::bigint[],
            $17::timestamptz[], $18::timestamptz[], $19::bigint[], $20::bigint[])
        AS s (
            task_id, client_id, agent_name, status, priority, attempt, payload, result, error, claimed_by,
            claim_token, lease_expires_at, completed_version, completed_token, created_position, created_at,
            updated_at, version, position)
    RETURNING 1)
SELECT fidelog.expect_rows('agent_tasks', count(*), $22::bigint) FROM saved
