SELECT tenant_id, epoch, number, last_at FROM fidelog.erasures() ORDER BY tenant_id, epoch
