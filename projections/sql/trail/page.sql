-- A page of the trail. `driven` gives candidates in order through one index, at most {bound} of them, so that a page
-- costs no more the longer the log is. Rows: what is wanted, and the last candidate when the bound was reached; without
-- any, one row all the same, which says how far the list's source has got. All is of one moment.
SELECT coalesce(source.position, 0), page.position, page.wanted, page.nth,
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
ORDER BY page.place {order}
