-- How far the tail $2 and the log have got; then the newest positions at the times $3 and $4, null without a time.
SELECT coalesce((SELECT position FROM fidelog.tail_checkpoints WHERE tenant_id = $1 AND name = $2), 0),
       coalesce((SELECT position FROM fidelog.events WHERE tenant_id = $1 ORDER BY position DESC LIMIT 1), 0),
       CASE WHEN $3::timestamptz IS NOT NULL THEN fidelog.position_at($1, $3::timestamptz) END,
       CASE WHEN $4::timestamptz IS NOT NULL THEN fidelog.position_at($1, $4::timestamptz) END
