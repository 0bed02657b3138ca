SELECT tenant_id, version, keys::text, epoch, wrapped FROM fidelog.directory($1::json)
