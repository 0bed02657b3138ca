-- The log: one row of logs per tenant (the lock), events, keys, tail checkpoints, and the guards that keep them.

GRANT USAGE ON SCHEMA fidelog TO fidelog_writer, fidelog_reader, fidelog_keeper, fidelog_auditor;

-- Guards ---------------------------------------------------------------------------------------------------------

-- P2: refuses a whole statement, matched rows or not.
CREATE FUNCTION fidelog.refuse_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '% on %.% is refused: this table is append-only', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'FL001', HINT = 'Corrections are new events; nothing recorded is changed or removed.';
END $$;

-- P1, P2: a statement that wrote fewer rows than were sent (a rule or trigger swallowed some) fails its transaction.
CREATE FUNCTION fidelog.expect_rows(what text, written bigint, sent bigint) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF written IS DISTINCT FROM sent THEN
        RAISE EXCEPTION '%: % of % rows were written', what, written, sent USING ERRCODE = 'FL005';
    END IF;
    RETURN true;
END $$;

-- The lock -------------------------------------------------------------------------------------------------------

CREATE TABLE fidelog.logs (
    tenant_id   text COLLATE "C" PRIMARY KEY CHECK (tenant_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    lock_grant  boolean                    -- never written: the column whose UPDATE privilege permits the row lock
);

CREATE TRIGGER logs_never_change BEFORE UPDATE OR DELETE OR TRUNCATE ON fidelog.logs
    FOR EACH STATEMENT EXECUTE FUNCTION fidelog.refuse_change();
ALTER TABLE fidelog.logs ENABLE ALWAYS TRIGGER logs_never_change;

-- Events ---------------------------------------------------------------------------------------------------------

CREATE TABLE fidelog.events (
    tenant_id       text COLLATE "C" NOT NULL,
    position        bigint NOT NULL CHECK (position >= 1),
    format          smallint NOT NULL CHECK (format = 1),
    stream          text COLLATE "C" NOT NULL,
    version         bigint NOT NULL CHECK (version >= 1),
    event_id        uuid NOT NULL,
    type            text COLLATE "C" NOT NULL,
    schema_version  smallint NOT NULL CHECK (schema_version >= 1),
    data            json NOT NULL,         -- json, not jsonb: the stored text is what is hashed
    subjects        text[] COLLATE "C" NOT NULL,
    actor           text COLLATE "C" NOT NULL,
    on_behalf_of    text COLLATE "C",
    command_id      uuid NOT NULL,
    correlation_id  text COLLATE "C" NOT NULL,
    causation_id    uuid,
    idempotency_key bytea,                 -- on a command's first event; keyed hash, 32 bytes
    request_hash    bytea,                 -- on a command's first event; keyed hash, 32 bytes
    effective_at    timestamptz,           -- business time
    recorded_at     timestamptz NOT NULL,  -- log time
    PRIMARY KEY (tenant_id, position),
    CONSTRAINT events_stream_version UNIQUE (tenant_id, stream, version)
);

CREATE UNIQUE INDEX events_idempotency_key ON fidelog.events (tenant_id, idempotency_key)
    WHERE idempotency_key IS NOT NULL;

CREATE TRIGGER events_never_change BEFORE UPDATE OR DELETE OR TRUNCATE ON fidelog.events
    FOR EACH STATEMENT EXECUTE FUNCTION fidelog.refuse_change();
ALTER TABLE fidelog.events ENABLE ALWAYS TRIGGER events_never_change;

-- P3, P4: what one statement appends continues the log and each stream without a gap, and time never goes back.
CREATE FUNCTION fidelog.events_follow() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    batch record;
    head  record;
BEGIN
    FOR batch IN
        SELECT tenant_id, min(position) AS first, max(position) AS last, count(*) AS number,
               min(recorded_at) AS earliest, max(recorded_at) AS latest
        FROM appended GROUP BY tenant_id
    LOOP
        SELECT position, recorded_at INTO head FROM fidelog.events
        WHERE tenant_id = batch.tenant_id AND position < batch.first ORDER BY position DESC LIMIT 1;
        IF batch.first <> coalesce(head.position, 0) + 1 OR batch.last - batch.first + 1 <> batch.number THEN
            RAISE EXCEPTION 'positions % to % (% events) do not follow position %',
                batch.first, batch.last, batch.number, coalesce(head.position, 0) USING ERRCODE = 'FL002';
        END IF;
        IF batch.earliest < head.recorded_at THEN
            RAISE EXCEPTION 'recorded_at would go back at position %', batch.first USING ERRCODE = 'FL002';
        END IF;
        IF batch.earliest <> batch.latest AND EXISTS (
            SELECT 1 FROM (
                SELECT recorded_at < lag(recorded_at) OVER (ORDER BY position) AS goes_back
                FROM appended WHERE tenant_id = batch.tenant_id) AS steps
            WHERE goes_back)
        THEN
            RAISE EXCEPTION 'recorded_at would go back after position %', batch.first USING ERRCODE = 'FL002';
        END IF;
    END LOOP;
    IF EXISTS (
        SELECT 1 FROM (
            SELECT tenant_id, stream, min(version) AS first, max(version) AS last, count(*) AS number
            FROM appended GROUP BY tenant_id, stream) AS streams
        WHERE last - first + 1 <> number
           -- Ordered, so that only the index of streams will do: a plan made on an empty table is kept, and one that
           -- took another index would read the whole tenant later.
           -- (A stream that begins here has no event before: its version 1 is unique.)
           OR CASE WHEN first = 1 THEN false ELSE first - 1 <> coalesce((
                SELECT e.version FROM fidelog.events AS e
                WHERE e.tenant_id = streams.tenant_id AND e.stream = streams.stream AND e.version < streams.first
                ORDER BY e.version DESC LIMIT 1), 0) END)
    THEN
        RAISE EXCEPTION 'a stream would have a gap in its versions' USING ERRCODE = 'FL002';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER events_follow AFTER INSERT ON fidelog.events
    REFERENCING NEW TABLE AS appended FOR EACH STATEMENT EXECUTE FUNCTION fidelog.events_follow();
ALTER TABLE fidelog.events ENABLE ALWAYS TRIGGER events_follow;

-- Keys -----------------------------------------------------------------------------------------------------------

-- One data key per subject, wrapped by the master key of an epoch kept outside the database (P8).
-- wrapped is null in a tombstone: the key was destroyed, and the subject's values with it.
CREATE TABLE fidelog.client_keys (
    tenant_id   text COLLATE "C" NOT NULL,
    subject     text COLLATE "C" NOT NULL,
    key_id      uuid NOT NULL,
    epoch       integer NOT NULL CHECK (epoch >= 1),
    wrapped     bytea,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, subject)
);

-- The key of a tenant's keyed hashes, wrapped likewise.
CREATE TABLE fidelog.tenant_keys (
    tenant_id   text COLLATE "C" PRIMARY KEY,
    epoch       integer NOT NULL CHECK (epoch >= 1),
    wrapped     bytea NOT NULL
);

-- Tails ----------------------------------------------------------------------------------------------------------

CREATE TABLE fidelog.tail_checkpoints (
    tenant_id   text COLLATE "C" NOT NULL,
    name        text COLLATE "C" NOT NULL,
    position    bigint NOT NULL CHECK (position >= 0),   -- the last event handled
    updated_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, name)
);

-- Row-level security (P9) ----------------------------------------------------------------------------------------
-- Each session names its tenant in fidelog.tenant_id; without it no row is visible and none can be written.

ALTER TABLE fidelog.logs ENABLE ROW LEVEL SECURITY;
ALTER TABLE fidelog.events ENABLE ROW LEVEL SECURITY;
ALTER TABLE fidelog.client_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE fidelog.tenant_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE fidelog.tail_checkpoints ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON fidelog.logs TO fidelog_writer, fidelog_reader, fidelog_keeper
    USING (tenant_id = current_setting('fidelog.tenant_id', true))
    WITH CHECK (tenant_id = current_setting('fidelog.tenant_id', true));
CREATE POLICY own_tenant ON fidelog.events TO fidelog_writer, fidelog_reader, fidelog_keeper
    USING (tenant_id = current_setting('fidelog.tenant_id', true))
    WITH CHECK (tenant_id = current_setting('fidelog.tenant_id', true));
CREATE POLICY own_tenant ON fidelog.client_keys TO fidelog_writer, fidelog_reader, fidelog_keeper
    USING (tenant_id = current_setting('fidelog.tenant_id', true))
    WITH CHECK (tenant_id = current_setting('fidelog.tenant_id', true));
CREATE POLICY own_tenant ON fidelog.tenant_keys TO fidelog_writer, fidelog_reader, fidelog_keeper
    USING (tenant_id = current_setting('fidelog.tenant_id', true))
    WITH CHECK (tenant_id = current_setting('fidelog.tenant_id', true));
CREATE POLICY own_tenant ON fidelog.tail_checkpoints TO fidelog_writer, fidelog_reader, fidelog_keeper
    USING (tenant_id = current_setting('fidelog.tenant_id', true))
    WITH CHECK (tenant_id = current_setting('fidelog.tenant_id', true));

-- The verifier sees every row, so that one hidden by any other policy shows as missing.
CREATE POLICY all_tenants ON fidelog.logs FOR SELECT TO fidelog_auditor USING (true);
CREATE POLICY all_tenants ON fidelog.events FOR SELECT TO fidelog_auditor USING (true);
CREATE POLICY all_tenants ON fidelog.tail_checkpoints FOR SELECT TO fidelog_auditor USING (true);

GRANT SELECT ON fidelog.logs TO fidelog_writer, fidelog_reader, fidelog_keeper, fidelog_auditor;
GRANT UPDATE (lock_grant) ON fidelog.logs TO fidelog_writer;
GRANT SELECT ON fidelog.events TO fidelog_writer, fidelog_reader, fidelog_keeper, fidelog_auditor;
GRANT INSERT ON fidelog.events TO fidelog_writer;
GRANT SELECT ON fidelog.client_keys TO fidelog_writer, fidelog_reader, fidelog_keeper;
GRANT INSERT ON fidelog.client_keys TO fidelog_writer;
GRANT SELECT ON fidelog.tenant_keys TO fidelog_writer, fidelog_reader;
GRANT SELECT, INSERT, UPDATE ON fidelog.tail_checkpoints TO fidelog_keeper;
GRANT SELECT ON fidelog.tail_checkpoints TO fidelog_writer, fidelog_reader, fidelog_auditor;
