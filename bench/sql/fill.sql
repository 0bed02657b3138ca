-- Events $1 to $2 of a mixed log of $3 events. In blocks of 400: 100 client upserts (each client four times in all),
-- then 100 tasks created, claimed, completed. Ids are scattered, so that streams lie anywhere in the log; data is what
-- projections/codec.py writes, with sealed values of the sizes real ones have.
INSERT INTO fidelog.events (
    tenant_id, position, format, stream, version, event_id, type, schema_version, data, subjects, actor, command_id,
    correlation_id, idempotency_key, request_hash, recorded_at)
SELECT
    'default', e.position, 1,
    CASE WHEN e.kind = 0 THEN 'client-' || e.client ELSE 'task-' || e.task END,
    CASE WHEN e.kind = 0 THEN e.nth / e.clients + 1 ELSE e.kind END,
    CASE WHEN e.kind = 2 THEN e.claim ELSE md5('event' || e.position)::uuid END,
    CASE e.kind WHEN 1 THEN 'TaskCreated' WHEN 2 THEN 'TaskClaimed' WHEN 3 THEN 'TaskCompleted'
        ELSE CASE WHEN e.nth < e.clients THEN 'ClientOnboarded' ELSE 'ClientProfileUpdated' END END,
    1,
    CASE e.kind
        WHEN 0 THEN format('{"client_id":"%s","full_name":%s,"risk_profile":"moderate"}', e.client,
            format(e.sealed, md5('name' || e.position), e.client_key, left(e.secret, 52)))
        WHEN 1 THEN format('{"agent_name":"%s","client_id":"%s","payload":%s,"priority":3,"task_id":"%s"}', e.agent,
            e.client, format(e.sealed, md5('payload' || e.position), e.client_key, e.secret), e.task)
        WHEN 2 THEN format('{"agent_name":"%s","attempt":1,"client_id":"%s","lease_seconds":60,"task_id":"%s"}', e.agent,
            e.client, e.task)
        ELSE format('{"agent_name":"%s","attempt":1,"claim_token":"%s","client_id":"%s","result":%s,"task_id":"%s"}',
            e.agent, e.claim, e.client, format(e.sealed, md5('result' || e.position), e.client_key, e.secret), e.task)
    END::json,
    ARRAY[e.client], CASE WHEN e.kind = 0 THEN 'user:desk' ELSE 'agent:' || e.agent || '@1.0' END,
    md5('command' || e.position)::uuid, md5('command' || e.position)::uuid::text,
    decode(md5('key' || e.position) || md5(e.position::text), 'hex'),
    decode(md5('request' || e.position) || md5(e.position::text), 'hex'), clock_timestamp()
FROM (
    SELECT p.position, p.kind, p.nth, p.clients,
        'c' || substr(md5('client' || p.nth % p.clients), 1, 12) AS client,
        md5('client key' || p.nth % p.clients)::uuid AS client_key,
        md5('task' || p.nth)::uuid AS task,
        md5('claim' || p.nth)::uuid AS claim,
        'agent' || p.nth % 20 AS agent,
        '{"fingerprint":"%s","key":"%s","sealed":"%s"}' AS sealed,
        rpad(md5('secret' || p.position), 180, md5(p.position::text)) AS secret
    FROM (
        SELECT g AS position, (g - 1) % 400 / 100 AS kind, (g - 1) / 400 * 100 + (g - 1) % 100 AS nth,
            greatest(1, $3::bigint / 16) AS clients
        FROM generate_series($1::bigint, $2::bigint) AS g) AS p) AS e
ORDER BY e.position
