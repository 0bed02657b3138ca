SELECT tenant_id, epoch, number FROM fidelog.erasures() ORDER BY tenant_id, epoch
