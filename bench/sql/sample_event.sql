SELECT event_id::text, type, data::text, subjects[1] AS subject, actor, command_id::text, correlation_id,
       request_hash::text
FROM fidelog.events
WHERE version = 1
ORDER BY position DESC LIMIT 1
