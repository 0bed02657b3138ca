SELECT set_config('fidelog.tenant_id', $1, true)
