-- What proves the log: full tiles of the Merkle tree, the signed checkpoints, and the witnesses' cosignatures.
-- The sealer alone inserts them; nobody changes or removes one.

GRANT USAGE ON SCHEMA fidelog TO fidelog_sealer;

-- A full tile: 256 hashes of level 8 * level of the tree, from number 256 * index on (C2SP tlog-tiles).
CREATE TABLE fidelog.tiles (
    tenant_id   text COLLATE "C" NOT NULL,
    level       smallint NOT NULL CHECK (level BETWEEN 0 AND 63),
    index       bigint NOT NULL CHECK (index >= 0),
    hashes      bytea NOT NULL CHECK (octet_length(hashes) = 8192),
    PRIMARY KEY (tenant_id, level, index)
);

-- A published head of the tree. Sizes of one origin are sizes of one tree.
CREATE TABLE fidelog.checkpoints (
    tenant_id   text COLLATE "C" NOT NULL,
    origin      text COLLATE "C" NOT NULL,
    size        bigint NOT NULL CHECK (size >= 0),
    root        bytea NOT NULL CHECK (octet_length(root) = 32),
    note        text NOT NULL,             -- the checkpoint with the log's own signatures
    signed_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, origin, size)
);

CREATE TABLE fidelog.cosignatures (
    tenant_id   text COLLATE "C" NOT NULL,
    origin      text COLLATE "C" NOT NULL,
    size        bigint NOT NULL CHECK (size >= 0),
    witness     text COLLATE "C" NOT NULL, -- the name its key has
    line        text NOT NULL,             -- the signature line of the note
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, origin, size, witness)
);

-- P2
CREATE TRIGGER tiles_never_change BEFORE UPDATE OR DELETE OR TRUNCATE ON fidelog.tiles
    FOR EACH STATEMENT EXECUTE FUNCTION fidelog.refuse_change();
ALTER TABLE fidelog.tiles ENABLE ALWAYS TRIGGER tiles_never_change;
CREATE TRIGGER checkpoints_never_change BEFORE UPDATE OR DELETE OR TRUNCATE ON fidelog.checkpoints
    FOR EACH STATEMENT EXECUTE FUNCTION fidelog.refuse_change();
ALTER TABLE fidelog.checkpoints ENABLE ALWAYS TRIGGER checkpoints_never_change;
CREATE TRIGGER cosignatures_never_change BEFORE UPDATE OR DELETE OR TRUNCATE ON fidelog.cosignatures
    FOR EACH STATEMENT EXECUTE FUNCTION fidelog.refuse_change();
ALTER TABLE fidelog.cosignatures ENABLE ALWAYS TRIGGER cosignatures_never_change;

-- P9
ALTER TABLE fidelog.tiles ENABLE ROW LEVEL SECURITY;
ALTER TABLE fidelog.checkpoints ENABLE ROW LEVEL SECURITY;
ALTER TABLE fidelog.cosignatures ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON fidelog.tiles TO fidelog_reader, fidelog_keeper, fidelog_sealer
    USING (tenant_id = current_setting('fidelog.tenant_id', true))
    WITH CHECK (tenant_id = current_setting('fidelog.tenant_id', true));
CREATE POLICY own_tenant ON fidelog.checkpoints TO fidelog_reader, fidelog_keeper, fidelog_sealer
    USING (tenant_id = current_setting('fidelog.tenant_id', true))
    WITH CHECK (tenant_id = current_setting('fidelog.tenant_id', true));
CREATE POLICY own_tenant ON fidelog.cosignatures TO fidelog_reader, fidelog_keeper, fidelog_sealer
    USING (tenant_id = current_setting('fidelog.tenant_id', true))
    WITH CHECK (tenant_id = current_setting('fidelog.tenant_id', true));

CREATE POLICY all_tenants ON fidelog.tiles FOR SELECT TO fidelog_auditor USING (true);
CREATE POLICY all_tenants ON fidelog.checkpoints FOR SELECT TO fidelog_auditor USING (true);
CREATE POLICY all_tenants ON fidelog.cosignatures FOR SELECT TO fidelog_auditor USING (true);

-- The sealer reads the log of the tenant it names.
ALTER POLICY own_tenant ON fidelog.logs TO fidelog_writer, fidelog_reader, fidelog_keeper, fidelog_sealer;
ALTER POLICY own_tenant ON fidelog.events TO fidelog_writer, fidelog_reader, fidelog_keeper, fidelog_sealer;
GRANT SELECT ON fidelog.logs, fidelog.events TO fidelog_sealer;

GRANT SELECT, INSERT ON fidelog.tiles, fidelog.checkpoints, fidelog.cosignatures TO fidelog_sealer;
GRANT SELECT ON fidelog.tiles, fidelog.checkpoints, fidelog.cosignatures TO fidelog_reader, fidelog_auditor;
