-- Who may come in. The log's own streams, log-admin and log-access, fold into one row each.
CREATE TABLE fidelog.administration (
    tenant_id     text COLLATE "C" NOT NULL,
    log_id        text COLLATE "C" NOT NULL,
    keys          json NOT NULL,           -- API keys by id, each with the keyed hash of its secret
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    version       bigint NOT NULL,
    position      bigint NOT NULL,
    fold_version  smallint NOT NULL,
    PRIMARY KEY (tenant_id, log_id)
);

CREATE TRIGGER administration_bare_change BEFORE UPDATE ON fidelog.administration FOR EACH ROW
    WHEN (NOT (new.version > old.version AND new.position > old.position AND new.fold_version >= old.fold_version
               AND new.tenant_id = old.tenant_id AND new.log_id = old.log_id))
    EXECUTE FUNCTION fidelog.refuse_bare_change();
ALTER TABLE fidelog.administration ENABLE ALWAYS TRIGGER administration_bare_change;
CREATE TRIGGER administration_empty_change AFTER UPDATE ON fidelog.administration
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION fidelog.refuse_empty_change();
ALTER TABLE fidelog.administration ENABLE ALWAYS TRIGGER administration_empty_change;
CREATE CONSTRAINT TRIGGER administration_lost_row AFTER DELETE ON fidelog.administration
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    EXECUTE FUNCTION fidelog.refuse_lost_row('log', 'log_id', 'text');
ALTER TABLE fidelog.administration ENABLE ALWAYS TRIGGER administration_lost_row;

-- When a key was last used: operational, written in batches some seconds late, and nothing is decided by it.
CREATE TABLE fidelog.api_key_uses (
    tenant_id     text COLLATE "C" NOT NULL,
    key_id        text COLLATE "C" NOT NULL,
    last_used_at  timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, key_id)
);

ALTER TABLE fidelog.administration ENABLE ROW LEVEL SECURITY;
ALTER TABLE fidelog.api_key_uses ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON fidelog.administration TO fidelog_writer, fidelog_reader, fidelog_keeper
    USING (tenant_id = current_setting('fidelog.tenant_id', true))
    WITH CHECK (tenant_id = current_setting('fidelog.tenant_id', true));
CREATE POLICY own_tenant ON fidelog.api_key_uses TO fidelog_reader, fidelog_keeper
    USING (tenant_id = current_setting('fidelog.tenant_id', true))
    WITH CHECK (tenant_id = current_setting('fidelog.tenant_id', true));
CREATE POLICY all_tenants ON fidelog.administration FOR SELECT TO fidelog_auditor USING (true);

GRANT SELECT ON fidelog.administration TO fidelog_writer, fidelog_reader, fidelog_keeper, fidelog_auditor;
GRANT INSERT, UPDATE ON fidelog.administration TO fidelog_writer;
GRANT INSERT, DELETE ON fidelog.administration TO fidelog_keeper;
GRANT SELECT ON fidelog.api_key_uses TO fidelog_reader;
GRANT SELECT, INSERT, UPDATE ON fidelog.api_key_uses TO fidelog_keeper;

-- P9: a credential is found before its tenant is known, so this one function looks across tenants; it shows a reader
-- names of tenants, their wrapped key of keyed hashes, and keyed hashes of secrets, nothing about anybody.
-- Keys of a tenant are left out (null) where `known` has them at the version they are at.
CREATE FUNCTION fidelog.directory(known json)
RETURNS TABLE (tenant_id text, version bigint, keys json, epoch integer, wrapped bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT l.tenant_id, coalesce(a.version, 0),
           CASE WHEN coalesce(a.version, 0) = coalesce((known ->> l.tenant_id)::bigint, -1) THEN NULL
                ELSE coalesce(a.keys, '{}') END,
           k.epoch, k.wrapped
    FROM fidelog.logs AS l
    JOIN fidelog.tenant_keys AS k ON k.tenant_id = l.tenant_id
    LEFT JOIN fidelog.administration AS a ON a.tenant_id = l.tenant_id AND a.log_id = 'admin'
$$;
REVOKE EXECUTE ON FUNCTION fidelog.directory(json) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fidelog.directory(json) TO fidelog_reader;
