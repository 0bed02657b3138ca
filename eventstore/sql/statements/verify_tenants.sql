-- Every tenant of which anything is left, also where its row of the lock is gone.
WITH RECURSIVE of_events AS (
    (SELECT tenant_id FROM fidelog.events ORDER BY tenant_id LIMIT 1)
    UNION ALL
    SELECT (SELECT e.tenant_id FROM fidelog.events AS e WHERE e.tenant_id > o.tenant_id ORDER BY e.tenant_id LIMIT 1)
    FROM of_events AS o WHERE o.tenant_id IS NOT NULL
), of_checkpoints AS (
    (SELECT tenant_id FROM fidelog.checkpoints ORDER BY tenant_id LIMIT 1)
    UNION ALL
    SELECT (SELECT c.tenant_id FROM fidelog.checkpoints AS c WHERE c.tenant_id > o.tenant_id ORDER BY c.tenant_id LIMIT 1)
    FROM of_checkpoints AS o WHERE o.tenant_id IS NOT NULL
)
SELECT tenant_id FROM fidelog.logs
UNION SELECT tenant_id FROM of_events WHERE tenant_id IS NOT NULL
UNION SELECT tenant_id FROM of_checkpoints WHERE tenant_id IS NOT NULL
ORDER BY 1
