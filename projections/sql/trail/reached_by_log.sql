SELECT position FROM fidelog.events WHERE tenant_id = $1 ORDER BY position DESC LIMIT 1
