SELECT max(fold_version)::int FROM fidelog.administration WHERE tenant_id = $1
