-- Events $1 to $2 of a mixed log, in blocks of as many events as the script has. $3: tasks of a block, $4: clients that it
-- onboards, $5: variants of a client's values, $6: agents. Ids are scattered, so that streams lie anywhere in the indexes. One
-- event a second, from a year before the log was made.
WITH named AS (
    SELECT p.position, p.place, p.block, p.type, p.slot, coalesce(c.version, p.version) AS version, p.attempt, p.lease,
           v.client_id, v.full_name, v.payload, v.result, v.reason, v.error, v.request, p.client AS number,
           p.place = p.command AS first,
           md5('task' || p.block * $3::bigint + p.slot)::uuid::text AS task,
           ($6::text[])[1 + (p.block * 7 + p.slot) % cardinality($6::text[])] AS agent,
           md5('event' || p.position - p.place + p.claim)::uuid AS token,
           -- Version 7, as the service makes them: their time first.
           overlay(overlay(md5('command' || p.position - p.place + p.command) PLACING
               lpad(to_hex(p.position - p.place + p.command), 12, '0') FROM 1 FOR 12) PLACING '7' FROM 13 FOR 1)::uuid
               AS command_id
    FROM bench.fill_placed($1::bigint, $2::bigint, $3::bigint, $4::bigint) AS p
    JOIN bench.fill_values AS v ON v.client = p.client AND v.variant = p.position % $5::bigint
    LEFT JOIN bench.fill_versions AS c ON c.position = p.position
), told AS (
    SELECT n.*,
        CASE n.type WHEN 'ClientUpserted' THEN CASE WHEN n.version % 5 = 0 THEN 'ClientProfileUpdated'
            ELSE 'ClientProfileConfirmed' END ELSE n.type END AS named_type,
        '"client_id":"' || n.client_id || '"' AS about,
        '"agent_name":"' || n.agent || '"' AS by_agent,
        '"agent_name":"' || n.agent || '","attempt":' || n.attempt AS tried,
        '"task_id":"' || n.task || '"}' AS of_task
    FROM named AS n
)
INSERT INTO fidelog.events (
    tenant_id, position, format, stream, version, event_id, type, schema_version, data, subjects, actor, command_id,
    correlation_id, causation_id, idempotency_key, request_hash, recorded_at)
SELECT
    'default', t.position, 1, CASE WHEN t.type LIKE 'Client%' THEN 'client-' || t.client_id ELSE 'task-' || t.task END,
    t.version, md5('event' || t.position)::uuid, t.named_type, CASE t.type WHEN 'TaskCompletionRejected' THEN 2 ELSE 1 END,
    (CASE t.type
        WHEN 'TaskCreated' THEN '{' || t.by_agent || ',' || t.about || ',"payload":' || t.payload || ',"priority":'
            || 1 + t.slot % 5 || ',' || t.of_task
        WHEN 'TaskClaimed' THEN '{' || t.tried || ',' || t.about || ',"lease_seconds":' || t.lease || ',' || t.of_task
        WHEN 'TaskCompleted' THEN '{' || t.tried || ',"claim_token":' || coalesce('"' || t.token || '"', 'null') || ','
            || t.about || ',"result":' || t.result || ',' || t.of_task
        WHEN 'TaskFailed' THEN '{' || t.tried || ',"claim_token":"' || t.token || '",' || t.about || ',"error":' || t.error
            || ',"retryable":true,' || t.of_task
        WHEN 'TaskReleased' THEN '{' || t.tried || ',"claim_token":"' || t.token || '",' || t.about || ',"reason":'
            || t.reason || ',' || t.of_task
        WHEN 'TaskLeaseExpired' THEN '{' || t.tried || ',"claim_token":"' || t.token || '",' || t.about || ',' || t.of_task
        WHEN 'TaskCompletionRejected' THEN '{"action":"result",' || t.tried || ',"claim_token":"' || t.token || '",'
            || t.about || ',' || t.of_task
        WHEN 'TaskCancelled' THEN '{' || t.tried || ',' || t.about || ',"reason":' || t.reason || ',' || t.of_task
        ELSE '{' || t.about || ',"full_name":' || t.full_name || ',"risk_profile":"'
            || (ARRAY['conservative', 'moderate', 'growth', 'aggressive'])[1 + (t.number + t.version / 5) % 4] || '"}'
    END)::json,
    ARRAY[t.client_id],
    CASE WHEN t.type = 'TaskLeaseExpired' THEN 'system:fidelog'
         WHEN t.type IN ('TaskCreated', 'TaskCancelled') THEN 'user:advisor-' || t.number % 40
         WHEN t.type LIKE 'Client%' THEN 'agent:onboarding_agent@2.1' ELSE 'agent:' || t.agent || '@1.0' END,
    t.command_id, CASE WHEN t.type LIKE 'Client%' THEN t.command_id::text ELSE 'task-' || t.task END, CASE WHEN t.type <> 'TaskCompletionRejected' THEN t.token END,
    CASE WHEN t.first THEN substr(sha256(int8send(t.position)), 1, 16) END,
    CASE WHEN t.first AND t.type <> 'TaskLeaseExpired' THEN t.request END,
    l.created_at - interval '1 year' + t.position * interval '1 second'
FROM told AS t CROSS JOIN fidelog.logs AS l
WHERE l.tenant_id = 'default'
ORDER BY t.position
