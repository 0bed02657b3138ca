-- How many events stand at the positions after $2 up to $3.
SELECT count(*) FROM fidelog.events WHERE tenant_id = $1 AND position > $2::bigint AND position <= $3::bigint
