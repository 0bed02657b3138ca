-- A page of the trail. `driven` gives candidates in order through one index, at most {bound} of them, so that a page
-- costs no more the longer the log is. Rows: what is wanted, and the last candidate when the bound was reached; without
-- any, one row all the same, which says how far the list's source has got; then the data keys of those whose sealed values the
-- events hold: a record of who was read names a hundred people and no value of theirs. All is of one moment: P8, no value is
-- opened with a key that was destroyed before.
WITH page AS MATERIALIZED (
    SELECT coalesce(source.position, 0) AS reached, page.position AS place, page.wanted, page.nth,
           e.tenant_id, e.position, e.stream, e.version, e.event_id::text, e.type, e.schema_version::int, e.data::text,
           e.subjects, e.actor, e.on_behalf_of, e.command_id::text, e.correlation_id, e.causation_id::text,
           e.idempotency_key, e.request_hash, e.effective_at, e.recorded_at
    FROM (SELECT ({reached}) AS position) AS source
    LEFT JOIN (
        SELECT place, position, wanted, nth
        FROM (
            SELECT place, position, {wanted} AS wanted,
                   row_number() OVER (ORDER BY place {order} ROWS UNBOUNDED PRECEDING) AS nth
            FROM (
                {driver}
            ) AS driven
        ) AS examined
        WHERE wanted OR nth = {bound}
        ORDER BY place {order} LIMIT {limit}
    ) AS page ON true
    LEFT JOIN LATERAL (
        SELECT * FROM fidelog.events WHERE tenant_id = $1 AND position = page.position LIMIT 1
    ) AS e ON page.wanted
)
SELECT page.*, NULL AS subject, NULL AS key_id, NULL::integer AS epoch, NULL::bytea AS wrapped FROM page
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       NULL, NULL, k.subject, k.key_id::text, k.epoch, k.wrapped
FROM (SELECT DISTINCT unnest(subjects) AS subject FROM page WHERE wanted AND data LIKE '%"sealed":%') AS about
CROSS JOIN LATERAL (
    SELECT subject, key_id, epoch, wrapped FROM fidelog.client_keys
    WHERE tenant_id = $1 AND subject = about.subject LIMIT 1
) AS k
ORDER BY nth
