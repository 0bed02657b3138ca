-- Tables with events in them or made of them, then each one's indexes: name, bytes on disk, events in the log.
WITH kept AS (
    SELECT oid, relname FROM pg_class
    WHERE relnamespace = 'fidelog'::regnamespace
      AND relname IN ('events', 'audit_index', 'agent_tasks', 'client_profiles')
), log AS (
    SELECT position AS events FROM fidelog.events ORDER BY tenant_id, position DESC LIMIT 1
)
SELECT found.name, found.size, log.events
FROM (
    SELECT relname || ' with indexes' AS name, pg_total_relation_size(oid) AS size, relname, 0 AS nth, '' AS index FROM kept
    UNION ALL
    SELECT relname || ', rows', pg_table_size(oid), relname, 1, '' FROM kept
    UNION ALL
    SELECT 'index ' || i.indexrelid::regclass::name, pg_relation_size(i.indexrelid), k.relname, 2, i.indexrelid::regclass::text
    FROM kept AS k JOIN pg_index AS i ON i.indrelid = k.oid
    WHERE k.relname IN ('events', 'audit_index')
) AS found, log
ORDER BY max(found.size) OVER (PARTITION BY found.relname) DESC, found.relname, found.nth, found.index
