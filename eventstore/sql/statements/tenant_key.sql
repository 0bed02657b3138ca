SELECT epoch, wrapped FROM fidelog.tenant_keys WHERE tenant_id = $1
