-- The newest positions at the times $2 and $3, null without a time.
SELECT CASE WHEN $2::timestamptz IS NOT NULL THEN fidelog.position_at($1, $2::timestamptz) END,
       CASE WHEN $3::timestamptz IS NOT NULL THEN fidelog.position_at($1, $3::timestamptz) END
