-- Where the log tells of exports.
SELECT position FROM fidelog.events WHERE tenant_id = %(tenant)s AND stream = 'log-exports' ORDER BY version
