-- The newest position recorded at or before $2.
SELECT fidelog.position_at($1, $2::timestamptz)
