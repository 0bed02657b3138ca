CREATE SCHEMA fidelog;

ALTER SCHEMA fidelog OWNER TO fidelog_owner;

CREATE FUNCTION fidelog.destroyed_with_event() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM fidelog.events AS e
        WHERE e.tenant_id = new.tenant_id AND e.position = new.destroyed_position
          AND e.subjects = ARRAY[new.subject] AND e.stream = 'client-' || new.subject
          AND e.type = ANY (ARRAY['ClientErased', 'ClientErasedAgain']) AND e.recorded_at = new.destroyed_at)
    THEN
        RAISE EXCEPTION 'the key of % is not destroyed: no event says so', new.subject USING ERRCODE = 'FL004';
    END IF;
    RETURN NULL;
END $$;

ALTER FUNCTION fidelog.destroyed_with_event() OWNER TO fidelog_owner;

CREATE FUNCTION fidelog.directory(known json) RETURNS TABLE(tenant_id text, version bigint, keys json, epoch integer, wrapped bytea)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    SELECT l.tenant_id, coalesce(a.version, 0),
           CASE WHEN coalesce(a.version, 0) = coalesce((known ->> l.tenant_id)::bigint, -1) THEN NULL
                ELSE coalesce(a.keys, '{}') END,
           k.epoch, k.wrapped
    FROM fidelog.logs AS l
    JOIN fidelog.tenant_keys AS k ON k.tenant_id = l.tenant_id
    LEFT JOIN fidelog.administration AS a ON a.tenant_id = l.tenant_id AND a.log_id = 'admin'
$$;

ALTER FUNCTION fidelog.directory(known json) OWNER TO fidelog_owner;

CREATE FUNCTION fidelog.erasures() RETURNS TABLE(tenant_id text, epoch integer, number bigint)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    SELECT k.tenant_id, k.epoch, count(*)
    FROM fidelog.client_keys AS k WHERE k.wrapped IS NULL GROUP BY k.tenant_id, k.epoch
$$;

ALTER FUNCTION fidelog.erasures() OWNER TO fidelog_owner;

CREATE FUNCTION fidelog.events_follow() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

ALTER FUNCTION fidelog.events_follow() OWNER TO fidelog_owner;

CREATE FUNCTION fidelog.expect_rows(what text, written bigint, sent bigint) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    IF written IS DISTINCT FROM sent THEN
        RAISE EXCEPTION '%: % of % rows were written', what, written, sent USING ERRCODE = 'FL005';
    END IF;
    RETURN true;
END $$;

ALTER FUNCTION fidelog.expect_rows(what text, written bigint, sent bigint) OWNER TO fidelog_owner;

CREATE FUNCTION fidelog.position_at(tenant text, at timestamp with time zone) RETURNS bigint
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    low    bigint := 0;
    high   bigint;
    middle bigint;
    time   timestamptz;
BEGIN
    SELECT e.position INTO high FROM fidelog.events AS e
    WHERE e.tenant_id = tenant ORDER BY e.position DESC LIMIT 1;
    WHILE low < coalesce(high, 0) LOOP
        middle := (low + high + 1) / 2;
        SELECT e.recorded_at INTO time FROM fidelog.events AS e
        WHERE e.tenant_id = tenant AND e.position >= middle ORDER BY e.position LIMIT 1;
        IF time <= at THEN low := middle; ELSE high := middle - 1; END IF;
    END LOOP;
    RETURN low;
END $$;

ALTER FUNCTION fidelog.position_at(tenant text, at timestamp with time zone) OWNER TO fidelog_owner;

CREATE FUNCTION fidelog.refuse_bare_change() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RAISE EXCEPTION '% on %.% is refused: a row changes only with the event that changes it',
        TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'FL004', HINT = 'Send the change to the API; a worker calls POST /tasks/{task_id}/result.';
END $$;

ALTER FUNCTION fidelog.refuse_bare_change() OWNER TO fidelog_owner;

CREATE FUNCTION fidelog.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RAISE EXCEPTION '% on %.% is refused: this table is append-only', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'FL001', HINT = 'Corrections are new events; nothing recorded is changed or removed.';
END $$;

ALTER FUNCTION fidelog.refuse_change() OWNER TO fidelog_owner;

CREATE FUNCTION fidelog.refuse_earlier_epoch() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM wrapped_now AS w
        JOIN fidelog.tenant_keys AS t ON t.tenant_id = w.tenant_id
        WHERE w.wrapped IS NOT NULL AND w.epoch < t.epoch)
    THEN
        RAISE EXCEPTION 'a key is wrapped under an epoch that has ended' USING ERRCODE = 'FL006';
    END IF;
    RETURN NULL;
END $$;

ALTER FUNCTION fidelog.refuse_earlier_epoch() OWNER TO fidelog_owner;

CREATE FUNCTION fidelog.refuse_earlier_tenant_epoch() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM fidelog.tenant_keys WHERE epoch > new.epoch) THEN
        RAISE EXCEPTION 'a key is wrapped under an epoch that has ended' USING ERRCODE = 'FL006';
    END IF;
    RETURN new;
END $$;

ALTER FUNCTION fidelog.refuse_earlier_tenant_epoch() OWNER TO fidelog_owner;

CREATE FUNCTION fidelog.refuse_empty_change() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM changed) THEN
        RAISE EXCEPTION '% on %.% is refused: a row changes only with the event that changes it',
            TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
            USING ERRCODE = 'FL004', HINT = 'Send the change to the API; a worker calls POST /tasks/{task_id}/result.';
    END IF;
    RETURN NULL;
END $$;

ALTER FUNCTION fidelog.refuse_empty_change() OWNER TO fidelog_owner;

CREATE FUNCTION fidelog.refuse_key_change() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RAISE EXCEPTION '% on %.% is refused: a key is destroyed with the event that says so, or wrapped anew under a later epoch',
        TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME USING ERRCODE = 'FL004';
END $$;

ALTER FUNCTION fidelog.refuse_key_change() OWNER TO fidelog_owner;

CREATE FUNCTION fidelog.refuse_lost_row() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
DECLARE
    id     text := to_jsonb(old) ->> TG_ARGV[1];
    newest bigint;
    stands boolean;
BEGIN
    SELECT e.version INTO newest FROM fidelog.events AS e
    WHERE e.tenant_id = old.tenant_id AND e.stream = TG_ARGV[0] || '-' || id ORDER BY e.version DESC LIMIT 1;
    EXECUTE format('SELECT EXISTS (SELECT 1 FROM %I.%I WHERE tenant_id = $1 AND %I = $2::%s AND version = $3)',
                   TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_ARGV[1], TG_ARGV[2])
        INTO stands USING old.tenant_id, id, newest;
    IF newest IS NOT NULL AND NOT stands THEN
        RAISE EXCEPTION 'DELETE on %.% is refused: events made the row %', TG_TABLE_SCHEMA, TG_TABLE_NAME, id
            USING ERRCODE = 'FL004', HINT = 'fidelog replay brings rows level with the log.';
    END IF;
    RETURN NULL;
END $_$;

ALTER FUNCTION fidelog.refuse_lost_row() OWNER TO fidelog_owner;

CREATE FUNCTION fidelog.version_at(tenant text, name text, at bigint) RETURNS bigint
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    low    bigint := 0;
    high   bigint;
    middle bigint;
    place  bigint;
BEGIN
    SELECT e.version INTO high FROM fidelog.events AS e
    WHERE e.tenant_id = tenant AND e.stream = name ORDER BY e.version DESC LIMIT 1;
    WHILE low < coalesce(high, 0) LOOP
        middle := (low + high + 1) / 2;
        SELECT e.position INTO place FROM fidelog.events AS e
        WHERE e.tenant_id = tenant AND e.stream = name AND e.version >= middle ORDER BY e.version LIMIT 1;
        IF place <= at THEN low := middle; ELSE high := middle - 1; END IF;
    END LOOP;
    RETURN low;
END $$;

ALTER FUNCTION fidelog.version_at(tenant text, name text, at bigint) OWNER TO fidelog_owner;

CREATE TABLE fidelog.administration (
    tenant_id text NOT NULL COLLATE pg_catalog."C",
    log_id text NOT NULL COLLATE pg_catalog."C",
    keys json NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    version bigint NOT NULL,
    "position" bigint NOT NULL,
    fold_version smallint NOT NULL
);

ALTER TABLE fidelog.administration OWNER TO fidelog_owner;

CREATE TABLE fidelog.agent_tasks (
    tenant_id text NOT NULL COLLATE pg_catalog."C",
    task_id uuid NOT NULL,
    client_id text NOT NULL COLLATE pg_catalog."C",
    agent_name text NOT NULL COLLATE pg_catalog."C",
    status text NOT NULL COLLATE pg_catalog."C",
    priority smallint NOT NULL,
    attempt integer NOT NULL,
    payload json NOT NULL,
    result json,
    error json,
    claimed_by text COLLATE pg_catalog."C",
    claim_token uuid,
    lease_expires_at timestamp with time zone,
    completed_version bigint,
    completed_token uuid,
    created_position bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    version bigint NOT NULL,
    "position" bigint NOT NULL,
    fold_version smallint NOT NULL
);

ALTER TABLE fidelog.agent_tasks OWNER TO fidelog_owner;

CREATE TABLE fidelog.api_key_uses (
    tenant_id text NOT NULL COLLATE pg_catalog."C",
    key_id text NOT NULL COLLATE pg_catalog."C",
    last_used_at timestamp with time zone NOT NULL
);

ALTER TABLE fidelog.api_key_uses OWNER TO fidelog_owner;

CREATE TABLE fidelog.audit_index (
    tenant_id text NOT NULL COLLATE pg_catalog."C",
    subject text NOT NULL COLLATE pg_catalog."C",
    "position" bigint NOT NULL,
    leads boolean NOT NULL,
    stream text NOT NULL COLLATE pg_catalog."C",
    type text NOT NULL COLLATE pg_catalog."C",
    actor text NOT NULL COLLATE pg_catalog."C",
    correlation_id text NOT NULL COLLATE pg_catalog."C",
    decision_id text COLLATE pg_catalog."C",
    recorded_at timestamp with time zone NOT NULL
);

ALTER TABLE fidelog.audit_index OWNER TO fidelog_owner;

CREATE TABLE fidelog.events (
    tenant_id text NOT NULL COLLATE pg_catalog."C",
    "position" bigint NOT NULL,
    format smallint NOT NULL,
    stream text NOT NULL COLLATE pg_catalog."C",
    version bigint NOT NULL,
    event_id uuid NOT NULL,
    type text NOT NULL COLLATE pg_catalog."C",
    schema_version smallint NOT NULL,
    data json NOT NULL,
    subjects text[] NOT NULL COLLATE pg_catalog."C",
    actor text NOT NULL COLLATE pg_catalog."C",
    on_behalf_of text COLLATE pg_catalog."C",
    command_id uuid NOT NULL,
    correlation_id text NOT NULL COLLATE pg_catalog."C",
    causation_id uuid,
    idempotency_key bytea,
    request_hash bytea,
    effective_at timestamp with time zone,
    recorded_at timestamp with time zone NOT NULL,
    CONSTRAINT events_format_check CHECK ((format = 1)),
    CONSTRAINT events_position_check CHECK (("position" >= 1)),
    CONSTRAINT events_schema_version_check CHECK ((schema_version >= 1)),
    CONSTRAINT events_version_check CHECK ((version >= 1))
);

ALTER TABLE fidelog.events OWNER TO fidelog_owner;

CREATE VIEW fidelog.audit_index_rows WITH (security_invoker='true') AS
 SELECT e.tenant_id,
    about.subject,
    e."position",
    (about.subject = COALESCE(e.subjects[1], ''::text)) AS leads,
    e.stream,
    e.type,
    e.actor,
    e.correlation_id,
        CASE
            WHEN (e.stream ~~ 'decision-%'::text) THEN substr(e.stream, 10)
            ELSE NULL::text
        END AS decision_id,
    e.recorded_at
   FROM (fidelog.events e
     CROSS JOIN LATERAL ( SELECT DISTINCT named.subject
           FROM unnest(
                CASE
                    WHEN (cardinality(e.subjects) = 0) THEN ARRAY[''::text]
                    ELSE e.subjects
                END) named(subject)) about);

ALTER VIEW fidelog.audit_index_rows OWNER TO fidelog_owner;

CREATE TABLE fidelog.checkpoints (
    tenant_id text NOT NULL COLLATE pg_catalog."C",
    origin text NOT NULL COLLATE pg_catalog."C",
    size bigint NOT NULL,
    root bytea NOT NULL,
    note text NOT NULL,
    signed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT checkpoints_root_check CHECK ((octet_length(root) = 32)),
    CONSTRAINT checkpoints_size_check CHECK ((size >= 0))
);

ALTER TABLE fidelog.checkpoints OWNER TO fidelog_owner;

CREATE TABLE fidelog.client_keys (
    tenant_id text NOT NULL COLLATE pg_catalog."C",
    subject text NOT NULL COLLATE pg_catalog."C",
    key_id uuid NOT NULL,
    epoch integer NOT NULL,
    wrapped bytea,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    destroyed_at timestamp with time zone,
    destroyed_position bigint,
    CONSTRAINT client_keys_epoch_check CHECK ((epoch >= 1))
);

ALTER TABLE fidelog.client_keys OWNER TO fidelog_owner;

CREATE TABLE fidelog.client_profiles (
    tenant_id text NOT NULL COLLATE pg_catalog."C",
    client_id text NOT NULL COLLATE pg_catalog."C",
    full_name json NOT NULL,
    risk_profile text NOT NULL COLLATE pg_catalog."C",
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    version bigint NOT NULL,
    "position" bigint NOT NULL,
    fold_version smallint NOT NULL,
    standing json
);

ALTER TABLE fidelog.client_profiles OWNER TO fidelog_owner;

CREATE TABLE fidelog.cosignatures (
    tenant_id text NOT NULL COLLATE pg_catalog."C",
    origin text NOT NULL COLLATE pg_catalog."C",
    size bigint NOT NULL,
    witness text NOT NULL COLLATE pg_catalog."C",
    line text NOT NULL,
    received_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT cosignatures_size_check CHECK ((size >= 0))
);

ALTER TABLE fidelog.cosignatures OWNER TO fidelog_owner;

CREATE TABLE fidelog.logs (
    tenant_id text NOT NULL COLLATE pg_catalog."C",
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    lock_grant boolean,
    CONSTRAINT logs_tenant_id_check CHECK ((tenant_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'::text))
);

ALTER TABLE fidelog.logs OWNER TO fidelog_owner;

CREATE TABLE fidelog.migrations (
    name text NOT NULL COLLATE pg_catalog."C",
    sha256 text NOT NULL,
    applied_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

ALTER TABLE fidelog.migrations OWNER TO fidelog_owner;

CREATE TABLE fidelog.tail_checkpoints (
    tenant_id text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL COLLATE pg_catalog."C",
    "position" bigint NOT NULL,
    updated_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    fault text,
    CONSTRAINT tail_checkpoints_position_check CHECK (("position" >= 0))
);

ALTER TABLE fidelog.tail_checkpoints OWNER TO fidelog_owner;

CREATE TABLE fidelog.tenant_keys (
    tenant_id text NOT NULL COLLATE pg_catalog."C",
    epoch integer NOT NULL,
    wrapped bytea NOT NULL,
    CONSTRAINT tenant_keys_epoch_check CHECK ((epoch >= 1))
);

ALTER TABLE fidelog.tenant_keys OWNER TO fidelog_owner;

CREATE TABLE fidelog.tiles (
    tenant_id text NOT NULL COLLATE pg_catalog."C",
    level smallint NOT NULL,
    index bigint NOT NULL,
    hashes bytea NOT NULL,
    CONSTRAINT tiles_hashes_check CHECK ((octet_length(hashes) = 8192)),
    CONSTRAINT tiles_index_check CHECK ((index >= 0)),
    CONSTRAINT tiles_level_check CHECK (((level >= 0) AND (level <= 63)))
);

ALTER TABLE fidelog.tiles OWNER TO fidelog_owner;

ALTER TABLE ONLY fidelog.administration
    ADD CONSTRAINT administration_pkey PRIMARY KEY (tenant_id, log_id);

ALTER TABLE ONLY fidelog.agent_tasks
    ADD CONSTRAINT agent_tasks_pkey PRIMARY KEY (tenant_id, task_id);

ALTER TABLE ONLY fidelog.api_key_uses
    ADD CONSTRAINT api_key_uses_pkey PRIMARY KEY (tenant_id, key_id);

ALTER TABLE ONLY fidelog.audit_index
    ADD CONSTRAINT audit_index_pkey PRIMARY KEY (tenant_id, subject, "position") INCLUDE (type, actor);

ALTER TABLE ONLY fidelog.checkpoints
    ADD CONSTRAINT checkpoints_pkey PRIMARY KEY (tenant_id, origin, size);

ALTER TABLE ONLY fidelog.client_keys
    ADD CONSTRAINT client_keys_pkey PRIMARY KEY (tenant_id, subject);

ALTER TABLE ONLY fidelog.client_profiles
    ADD CONSTRAINT client_profiles_pkey PRIMARY KEY (tenant_id, client_id);

ALTER TABLE ONLY fidelog.cosignatures
    ADD CONSTRAINT cosignatures_pkey PRIMARY KEY (tenant_id, origin, size, witness);

ALTER TABLE ONLY fidelog.events
    ADD CONSTRAINT events_pkey PRIMARY KEY (tenant_id, "position");

ALTER TABLE ONLY fidelog.events
    ADD CONSTRAINT events_stream_version UNIQUE (tenant_id, stream, version);

ALTER TABLE ONLY fidelog.logs
    ADD CONSTRAINT logs_pkey PRIMARY KEY (tenant_id);

ALTER TABLE ONLY fidelog.migrations
    ADD CONSTRAINT migrations_pkey PRIMARY KEY (name);

ALTER TABLE ONLY fidelog.tail_checkpoints
    ADD CONSTRAINT tail_checkpoints_pkey PRIMARY KEY (tenant_id, name);

ALTER TABLE ONLY fidelog.tenant_keys
    ADD CONSTRAINT tenant_keys_pkey PRIMARY KEY (tenant_id);

ALTER TABLE ONLY fidelog.tiles
    ADD CONSTRAINT tiles_pkey PRIMARY KEY (tenant_id, level, index);

CREATE INDEX agent_tasks_by_agent ON fidelog.agent_tasks USING btree (tenant_id, agent_name, status, created_position);

CREATE INDEX agent_tasks_by_client ON fidelog.agent_tasks USING btree (tenant_id, client_id, created_position);

CREATE INDEX agent_tasks_by_status ON fidelog.agent_tasks USING btree (tenant_id, status, created_position);

CREATE INDEX agent_tasks_leases ON fidelog.agent_tasks USING btree (tenant_id, lease_expires_at) WHERE (status = 'claimed'::text);

CREATE INDEX audit_index_actor ON fidelog.audit_index USING btree (tenant_id, actor, "position") INCLUDE (type) WHERE leads;

CREATE INDEX audit_index_correlation ON fidelog.audit_index USING btree (tenant_id, correlation_id, "position") WHERE leads;

CREATE INDEX audit_index_decision ON fidelog.audit_index USING btree (tenant_id, decision_id, "position") WHERE (leads AND (decision_id IS NOT NULL));

CREATE INDEX audit_index_type ON fidelog.audit_index USING btree (tenant_id, type, "position") WHERE leads;

CREATE INDEX checkpoints_by_time ON fidelog.checkpoints USING btree (tenant_id, signed_at);

CREATE INDEX client_keys_destroyed ON fidelog.client_keys USING btree (tenant_id, destroyed_position) WHERE (wrapped IS NULL);

CREATE UNIQUE INDEX events_idempotency_key ON fidelog.events USING btree (tenant_id, idempotency_key) WHERE (idempotency_key IS NOT NULL);

CREATE TRIGGER administration_bare_change BEFORE UPDATE ON fidelog.administration FOR EACH ROW WHEN ((NOT ((new.version > old.version) AND (new."position" > old."position") AND (new.fold_version >= old.fold_version) AND (new.tenant_id = old.tenant_id) AND (new.log_id = old.log_id)))) EXECUTE FUNCTION fidelog.refuse_bare_change();

ALTER TABLE fidelog.administration ENABLE ALWAYS TRIGGER administration_bare_change;

CREATE TRIGGER administration_empty_change AFTER UPDATE ON fidelog.administration REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION fidelog.refuse_empty_change();

ALTER TABLE fidelog.administration ENABLE ALWAYS TRIGGER administration_empty_change;

CREATE CONSTRAINT TRIGGER administration_lost_row AFTER DELETE ON fidelog.administration DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fidelog.refuse_lost_row('log', 'log_id', 'text');

ALTER TABLE fidelog.administration ENABLE ALWAYS TRIGGER administration_lost_row;

CREATE TRIGGER agent_tasks_bare_change BEFORE UPDATE ON fidelog.agent_tasks FOR EACH ROW WHEN ((NOT ((new.version > old.version) AND (new."position" > old."position") AND (new.fold_version >= old.fold_version) AND (new.tenant_id = old.tenant_id) AND (new.task_id = old.task_id)))) EXECUTE FUNCTION fidelog.refuse_bare_change();

ALTER TABLE fidelog.agent_tasks ENABLE ALWAYS TRIGGER agent_tasks_bare_change;

CREATE TRIGGER agent_tasks_empty_change AFTER UPDATE ON fidelog.agent_tasks REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION fidelog.refuse_empty_change();

ALTER TABLE fidelog.agent_tasks ENABLE ALWAYS TRIGGER agent_tasks_empty_change;

CREATE CONSTRAINT TRIGGER agent_tasks_lost_row AFTER DELETE ON fidelog.agent_tasks DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fidelog.refuse_lost_row('task', 'task_id', 'uuid');

ALTER TABLE fidelog.agent_tasks ENABLE ALWAYS TRIGGER agent_tasks_lost_row;

CREATE TRIGGER checkpoints_never_change BEFORE DELETE OR UPDATE OR TRUNCATE ON fidelog.checkpoints FOR EACH STATEMENT EXECUTE FUNCTION fidelog.refuse_change();

ALTER TABLE fidelog.checkpoints ENABLE ALWAYS TRIGGER checkpoints_never_change;

CREATE TRIGGER client_keys_change BEFORE UPDATE ON fidelog.client_keys FOR EACH ROW WHEN ((NOT ((new.tenant_id = old.tenant_id) AND (new.subject = old.subject) AND (new.key_id = old.key_id) AND (new.created_at = old.created_at) AND (old.wrapped IS NOT NULL) AND (((new.wrapped IS NULL) AND (new.epoch = old.epoch) AND (new.destroyed_at IS NOT NULL) AND (new.destroyed_position IS NOT NULL)) OR ((new.wrapped IS NOT NULL) AND (new.epoch > old.epoch) AND (new.destroyed_at IS NULL) AND (new.destroyed_position IS NULL)))))) EXECUTE FUNCTION fidelog.refuse_key_change();

ALTER TABLE fidelog.client_keys ENABLE ALWAYS TRIGGER client_keys_change;

CREATE TRIGGER client_keys_destroyed AFTER INSERT OR UPDATE ON fidelog.client_keys FOR EACH ROW WHEN ((new.wrapped IS NULL)) EXECUTE FUNCTION fidelog.destroyed_with_event();

ALTER TABLE fidelog.client_keys ENABLE ALWAYS TRIGGER client_keys_destroyed;

CREATE TRIGGER client_keys_epoch AFTER INSERT ON fidelog.client_keys REFERENCING NEW TABLE AS wrapped_now FOR EACH STATEMENT EXECUTE FUNCTION fidelog.refuse_earlier_epoch();

ALTER TABLE fidelog.client_keys ENABLE ALWAYS TRIGGER client_keys_epoch;

CREATE TRIGGER client_keys_never_removed BEFORE DELETE OR TRUNCATE ON fidelog.client_keys FOR EACH STATEMENT EXECUTE FUNCTION fidelog.refuse_change();

ALTER TABLE fidelog.client_keys ENABLE ALWAYS TRIGGER client_keys_never_removed;

CREATE TRIGGER client_profiles_bare_change BEFORE UPDATE ON fidelog.client_profiles FOR EACH ROW WHEN ((NOT ((new.version > old.version) AND (new."position" > old."position") AND (new.fold_version >= old.fold_version) AND (new.tenant_id = old.tenant_id) AND (new.client_id = old.client_id)))) EXECUTE FUNCTION fidelog.refuse_bare_change();

ALTER TABLE fidelog.client_profiles ENABLE ALWAYS TRIGGER client_profiles_bare_change;

CREATE TRIGGER client_profiles_empty_change AFTER UPDATE ON fidelog.client_profiles REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION fidelog.refuse_empty_change();

ALTER TABLE fidelog.client_profiles ENABLE ALWAYS TRIGGER client_profiles_empty_change;

CREATE CONSTRAINT TRIGGER client_profiles_lost_row AFTER DELETE ON fidelog.client_profiles DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fidelog.refuse_lost_row('client', 'client_id', 'text');

ALTER TABLE fidelog.client_profiles ENABLE ALWAYS TRIGGER client_profiles_lost_row;

CREATE TRIGGER cosignatures_never_change BEFORE DELETE OR UPDATE OR TRUNCATE ON fidelog.cosignatures FOR EACH STATEMENT EXECUTE FUNCTION fidelog.refuse_change();

ALTER TABLE fidelog.cosignatures ENABLE ALWAYS TRIGGER cosignatures_never_change;

CREATE TRIGGER events_follow AFTER INSERT ON fidelog.events REFERENCING NEW TABLE AS appended FOR EACH STATEMENT EXECUTE FUNCTION fidelog.events_follow();

ALTER TABLE fidelog.events ENABLE ALWAYS TRIGGER events_follow;

CREATE TRIGGER events_never_change BEFORE DELETE OR UPDATE OR TRUNCATE ON fidelog.events FOR EACH STATEMENT EXECUTE FUNCTION fidelog.refuse_change();

ALTER TABLE fidelog.events ENABLE ALWAYS TRIGGER events_never_change;

CREATE TRIGGER logs_never_change BEFORE DELETE OR UPDATE OR TRUNCATE ON fidelog.logs FOR EACH STATEMENT EXECUTE FUNCTION fidelog.refuse_change();

ALTER TABLE fidelog.logs ENABLE ALWAYS TRIGGER logs_never_change;

CREATE TRIGGER tenant_keys_change BEFORE UPDATE ON fidelog.tenant_keys FOR EACH ROW WHEN ((NOT ((new.tenant_id = old.tenant_id) AND (new.epoch > old.epoch)))) EXECUTE FUNCTION fidelog.refuse_key_change();

ALTER TABLE fidelog.tenant_keys ENABLE ALWAYS TRIGGER tenant_keys_change;

CREATE TRIGGER tenant_keys_epoch BEFORE INSERT ON fidelog.tenant_keys FOR EACH ROW EXECUTE FUNCTION fidelog.refuse_earlier_tenant_epoch();

ALTER TABLE fidelog.tenant_keys ENABLE ALWAYS TRIGGER tenant_keys_epoch;

CREATE TRIGGER tenant_keys_never_removed BEFORE DELETE OR TRUNCATE ON fidelog.tenant_keys FOR EACH STATEMENT EXECUTE FUNCTION fidelog.refuse_change();

ALTER TABLE fidelog.tenant_keys ENABLE ALWAYS TRIGGER tenant_keys_never_removed;

CREATE TRIGGER tiles_never_change BEFORE DELETE OR UPDATE OR TRUNCATE ON fidelog.tiles FOR EACH STATEMENT EXECUTE FUNCTION fidelog.refuse_change();

ALTER TABLE fidelog.tiles ENABLE ALWAYS TRIGGER tiles_never_change;

ALTER TABLE fidelog.administration ENABLE ROW LEVEL SECURITY;

ALTER TABLE fidelog.agent_tasks ENABLE ROW LEVEL SECURITY;

CREATE POLICY all_tenants ON fidelog.administration FOR SELECT TO fidelog_auditor USING (true);

CREATE POLICY all_tenants ON fidelog.agent_tasks FOR SELECT TO fidelog_auditor USING (true);

CREATE POLICY all_tenants ON fidelog.audit_index FOR SELECT TO fidelog_auditor USING (true);

CREATE POLICY all_tenants ON fidelog.checkpoints FOR SELECT TO fidelog_auditor USING (true);

CREATE POLICY all_tenants ON fidelog.client_profiles FOR SELECT TO fidelog_auditor USING (true);

CREATE POLICY all_tenants ON fidelog.cosignatures FOR SELECT TO fidelog_auditor USING (true);

CREATE POLICY all_tenants ON fidelog.events FOR SELECT TO fidelog_auditor USING (true);

CREATE POLICY all_tenants ON fidelog.logs FOR SELECT TO fidelog_auditor USING (true);

CREATE POLICY all_tenants ON fidelog.tail_checkpoints FOR SELECT TO fidelog_auditor USING (true);

CREATE POLICY all_tenants ON fidelog.tiles FOR SELECT TO fidelog_auditor USING (true);

ALTER TABLE fidelog.api_key_uses ENABLE ROW LEVEL SECURITY;

ALTER TABLE fidelog.audit_index ENABLE ROW LEVEL SECURITY;

ALTER TABLE fidelog.checkpoints ENABLE ROW LEVEL SECURITY;

ALTER TABLE fidelog.client_keys ENABLE ROW LEVEL SECURITY;

ALTER TABLE fidelog.client_profiles ENABLE ROW LEVEL SECURITY;

ALTER TABLE fidelog.cosignatures ENABLE ROW LEVEL SECURITY;

ALTER TABLE fidelog.events ENABLE ROW LEVEL SECURITY;

ALTER TABLE fidelog.logs ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON fidelog.administration TO fidelog_writer, fidelog_reader, fidelog_keeper USING ((tenant_id = current_setting('fidelog.tenant_id'::text, true))) WITH CHECK ((tenant_id = current_setting('fidelog.tenant_id'::text, true)));

CREATE POLICY own_tenant ON fidelog.agent_tasks TO fidelog_writer, fidelog_reader, fidelog_keeper USING ((tenant_id = current_setting('fidelog.tenant_id'::text, true))) WITH CHECK ((tenant_id = current_setting('fidelog.tenant_id'::text, true)));

CREATE POLICY own_tenant ON fidelog.api_key_uses TO fidelog_reader, fidelog_keeper USING ((tenant_id = current_setting('fidelog.tenant_id'::text, true))) WITH CHECK ((tenant_id = current_setting('fidelog.tenant_id'::text, true)));

CREATE POLICY own_tenant ON fidelog.audit_index TO fidelog_writer, fidelog_reader, fidelog_keeper USING ((tenant_id = current_setting('fidelog.tenant_id'::text, true))) WITH CHECK ((tenant_id = current_setting('fidelog.tenant_id'::text, true)));

CREATE POLICY own_tenant ON fidelog.checkpoints TO fidelog_reader, fidelog_keeper, fidelog_sealer USING ((tenant_id = current_setting('fidelog.tenant_id'::text, true))) WITH CHECK ((tenant_id = current_setting('fidelog.tenant_id'::text, true)));

CREATE POLICY own_tenant ON fidelog.client_keys TO fidelog_writer, fidelog_reader, fidelog_keeper USING ((tenant_id = current_setting('fidelog.tenant_id'::text, true))) WITH CHECK ((tenant_id = current_setting('fidelog.tenant_id'::text, true)));

CREATE POLICY own_tenant ON fidelog.client_profiles TO fidelog_writer, fidelog_reader, fidelog_keeper USING ((tenant_id = current_setting('fidelog.tenant_id'::text, true))) WITH CHECK ((tenant_id = current_setting('fidelog.tenant_id'::text, true)));

CREATE POLICY own_tenant ON fidelog.cosignatures TO fidelog_reader, fidelog_keeper, fidelog_sealer USING ((tenant_id = current_setting('fidelog.tenant_id'::text, true))) WITH CHECK ((tenant_id = current_setting('fidelog.tenant_id'::text, true)));

CREATE POLICY own_tenant ON fidelog.events TO fidelog_writer, fidelog_reader, fidelog_keeper, fidelog_sealer USING ((tenant_id = current_setting('fidelog.tenant_id'::text, true))) WITH CHECK ((tenant_id = current_setting('fidelog.tenant_id'::text, true)));

CREATE POLICY own_tenant ON fidelog.logs TO fidelog_writer, fidelog_reader, fidelog_keeper, fidelog_sealer USING ((tenant_id = current_setting('fidelog.tenant_id'::text, true))) WITH CHECK ((tenant_id = current_setting('fidelog.tenant_id'::text, true)));

CREATE POLICY own_tenant ON fidelog.tail_checkpoints TO fidelog_writer, fidelog_reader, fidelog_keeper USING ((tenant_id = current_setting('fidelog.tenant_id'::text, true))) WITH CHECK ((tenant_id = current_setting('fidelog.tenant_id'::text, true)));

CREATE POLICY own_tenant ON fidelog.tenant_keys TO fidelog_writer, fidelog_reader, fidelog_keeper USING ((tenant_id = current_setting('fidelog.tenant_id'::text, true))) WITH CHECK ((tenant_id = current_setting('fidelog.tenant_id'::text, true)));

CREATE POLICY own_tenant ON fidelog.tiles TO fidelog_reader, fidelog_keeper, fidelog_sealer USING ((tenant_id = current_setting('fidelog.tenant_id'::text, true))) WITH CHECK ((tenant_id = current_setting('fidelog.tenant_id'::text, true)));

ALTER TABLE fidelog.tail_checkpoints ENABLE ROW LEVEL SECURITY;

ALTER TABLE fidelog.tenant_keys ENABLE ROW LEVEL SECURITY;

ALTER TABLE fidelog.tiles ENABLE ROW LEVEL SECURITY;

GRANT USAGE ON SCHEMA fidelog TO fidelog_writer;
GRANT USAGE ON SCHEMA fidelog TO fidelog_reader;
GRANT USAGE ON SCHEMA fidelog TO fidelog_keeper;
GRANT USAGE ON SCHEMA fidelog TO fidelog_auditor;
GRANT USAGE ON SCHEMA fidelog TO fidelog_sealer;

REVOKE ALL ON FUNCTION fidelog.directory(known json) FROM PUBLIC;
GRANT ALL ON FUNCTION fidelog.directory(known json) TO fidelog_reader;

REVOKE ALL ON FUNCTION fidelog.erasures() FROM PUBLIC;
GRANT ALL ON FUNCTION fidelog.erasures() TO fidelog_auditor;

GRANT SELECT,INSERT,UPDATE ON TABLE fidelog.administration TO fidelog_writer;
GRANT SELECT ON TABLE fidelog.administration TO fidelog_reader;
GRANT SELECT,INSERT,DELETE ON TABLE fidelog.administration TO fidelog_keeper;
GRANT SELECT ON TABLE fidelog.administration TO fidelog_auditor;

GRANT SELECT,INSERT,UPDATE ON TABLE fidelog.agent_tasks TO fidelog_writer;
GRANT SELECT ON TABLE fidelog.agent_tasks TO fidelog_reader;
GRANT SELECT,INSERT,DELETE ON TABLE fidelog.agent_tasks TO fidelog_keeper;
GRANT SELECT ON TABLE fidelog.agent_tasks TO fidelog_auditor;

GRANT SELECT ON TABLE fidelog.api_key_uses TO fidelog_reader;
GRANT SELECT,INSERT,UPDATE ON TABLE fidelog.api_key_uses TO fidelog_keeper;

GRANT SELECT ON TABLE fidelog.audit_index TO fidelog_writer;
GRANT SELECT ON TABLE fidelog.audit_index TO fidelog_reader;
GRANT SELECT,INSERT,DELETE ON TABLE fidelog.audit_index TO fidelog_keeper;
GRANT SELECT ON TABLE fidelog.audit_index TO fidelog_auditor;

GRANT SELECT,INSERT ON TABLE fidelog.events TO fidelog_writer;
GRANT SELECT ON TABLE fidelog.events TO fidelog_reader;
GRANT SELECT ON TABLE fidelog.events TO fidelog_keeper;
GRANT SELECT ON TABLE fidelog.events TO fidelog_auditor;
GRANT SELECT ON TABLE fidelog.events TO fidelog_sealer;

GRANT SELECT ON TABLE fidelog.audit_index_rows TO fidelog_keeper;
GRANT SELECT ON TABLE fidelog.audit_index_rows TO fidelog_auditor;

GRANT SELECT,INSERT ON TABLE fidelog.checkpoints TO fidelog_sealer;
GRANT SELECT ON TABLE fidelog.checkpoints TO fidelog_reader;
GRANT SELECT ON TABLE fidelog.checkpoints TO fidelog_auditor;

GRANT SELECT,INSERT ON TABLE fidelog.client_keys TO fidelog_writer;
GRANT SELECT ON TABLE fidelog.client_keys TO fidelog_reader;
GRANT SELECT ON TABLE fidelog.client_keys TO fidelog_keeper;

GRANT UPDATE(epoch) ON TABLE fidelog.client_keys TO fidelog_keeper;

GRANT UPDATE(wrapped) ON TABLE fidelog.client_keys TO fidelog_writer;
GRANT UPDATE(wrapped) ON TABLE fidelog.client_keys TO fidelog_keeper;

GRANT UPDATE(destroyed_at) ON TABLE fidelog.client_keys TO fidelog_writer;

GRANT UPDATE(destroyed_position) ON TABLE fidelog.client_keys TO fidelog_writer;

GRANT SELECT,INSERT,UPDATE ON TABLE fidelog.client_profiles TO fidelog_writer;
GRANT SELECT ON TABLE fidelog.client_profiles TO fidelog_reader;
GRANT SELECT,INSERT,DELETE ON TABLE fidelog.client_profiles TO fidelog_keeper;
GRANT SELECT ON TABLE fidelog.client_profiles TO fidelog_auditor;

GRANT SELECT,INSERT ON TABLE fidelog.cosignatures TO fidelog_sealer;
GRANT SELECT ON TABLE fidelog.cosignatures TO fidelog_reader;
GRANT SELECT ON TABLE fidelog.cosignatures TO fidelog_auditor;

GRANT SELECT ON TABLE fidelog.logs TO fidelog_writer;
GRANT SELECT ON TABLE fidelog.logs TO fidelog_reader;
GRANT SELECT ON TABLE fidelog.logs TO fidelog_keeper;
GRANT SELECT ON TABLE fidelog.logs TO fidelog_auditor;
GRANT SELECT ON TABLE fidelog.logs TO fidelog_sealer;

GRANT UPDATE(lock_grant) ON TABLE fidelog.logs TO fidelog_writer;
GRANT UPDATE(lock_grant) ON TABLE fidelog.logs TO fidelog_reader;
GRANT UPDATE(lock_grant) ON TABLE fidelog.logs TO fidelog_keeper;

GRANT SELECT ON TABLE fidelog.migrations TO fidelog_writer;
GRANT SELECT ON TABLE fidelog.migrations TO fidelog_reader;
GRANT SELECT ON TABLE fidelog.migrations TO fidelog_keeper;
GRANT SELECT ON TABLE fidelog.migrations TO fidelog_sealer;
GRANT SELECT ON TABLE fidelog.migrations TO fidelog_auditor;

GRANT SELECT,INSERT,UPDATE ON TABLE fidelog.tail_checkpoints TO fidelog_keeper;
GRANT SELECT ON TABLE fidelog.tail_checkpoints TO fidelog_writer;
GRANT SELECT ON TABLE fidelog.tail_checkpoints TO fidelog_reader;
GRANT SELECT ON TABLE fidelog.tail_checkpoints TO fidelog_auditor;

GRANT SELECT ON TABLE fidelog.tenant_keys TO fidelog_writer;
GRANT SELECT ON TABLE fidelog.tenant_keys TO fidelog_reader;
GRANT SELECT ON TABLE fidelog.tenant_keys TO fidelog_keeper;

GRANT UPDATE(epoch) ON TABLE fidelog.tenant_keys TO fidelog_keeper;

GRANT UPDATE(wrapped) ON TABLE fidelog.tenant_keys TO fidelog_keeper;

GRANT SELECT,INSERT ON TABLE fidelog.tiles TO fidelog_sealer;
GRANT SELECT ON TABLE fidelog.tiles TO fidelog_reader;
GRANT SELECT ON TABLE fidelog.tiles TO fidelog_auditor;
