SELECT max(fold_version)::int FROM fidelog.client_profiles WHERE tenant_id = $1
