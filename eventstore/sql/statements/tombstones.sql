-- Whose keys were destroyed, and with the event at which position.
SELECT subject, destroyed_position FROM fidelog.client_keys WHERE tenant_id = $1 AND wrapped IS NULL
