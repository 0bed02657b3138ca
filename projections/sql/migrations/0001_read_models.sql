-- Read models: one row per stream, the fold of its events written as columns.
-- version and position are of the last event folded in; fold_version names the fold that wrote the row.

-- P1: a read-model row changes only together with a later version and position. The statement guard also refuses
-- an UPDATE that changes no row, so that a write past the log ends in an error and never in a silent "UPDATE 0".
CREATE FUNCTION fidelog.refuse_bare_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '% on %.% is refused: a row changes only with the event that changes it',
        TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'FL004', HINT = 'Send the change to the API; a worker calls POST /tasks/{task_id}/result.';
END $$;

CREATE FUNCTION fidelog.refuse_empty_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM changed) THEN
        RAISE EXCEPTION '% on %.% is refused: a row changes only with the event that changes it',
            TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
            USING ERRCODE = 'FL004', HINT = 'Send the change to the API; a worker calls POST /tasks/{task_id}/result.';
    END IF;
    RETURN NULL;
END $$;

CREATE TABLE fidelog.client_profiles (
    tenant_id     text COLLATE "C" NOT NULL,
    client_id     text COLLATE "C" NOT NULL,
    full_name     json NOT NULL,           -- sealed
    risk_profile  text COLLATE "C" NOT NULL,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    version       bigint NOT NULL,
    position      bigint NOT NULL,
    fold_version  smallint NOT NULL,
    PRIMARY KEY (tenant_id, client_id)
);

CREATE TABLE fidelog.agent_tasks (
    tenant_id         text COLLATE "C" NOT NULL,
    task_id           uuid NOT NULL,
    client_id         text COLLATE "C" NOT NULL,
    agent_name        text COLLATE "C" NOT NULL,
    status            text COLLATE "C" NOT NULL,
    priority          smallint NOT NULL,
    attempt           integer NOT NULL,
    payload           json NOT NULL,       -- sealed
    result            json,                -- sealed
    error             json,                -- sealed
    claimed_by        text COLLATE "C",
    claim_token       uuid,                -- of the newest attempt
    lease_expires_at  timestamptz,
    completed_version bigint,              -- version of the event that completed the task
    completed_token   uuid,                -- the claim token it was completed with, null when without one
    created_position  bigint NOT NULL,     -- age in the queue
    created_at        timestamptz NOT NULL,
    updated_at        timestamptz NOT NULL,
    version           bigint NOT NULL,
    position          bigint NOT NULL,
    fold_version      smallint NOT NULL,
    PRIMARY KEY (tenant_id, task_id)
);

CREATE INDEX agent_tasks_pending ON fidelog.agent_tasks (tenant_id, agent_name, priority, created_position)
    WHERE status = 'pending';

CREATE TRIGGER client_profiles_bare_change BEFORE UPDATE ON fidelog.client_profiles FOR EACH ROW
    WHEN (NOT (new.version > old.version AND new.position > old.position
               AND new.tenant_id = old.tenant_id AND new.client_id = old.client_id))
    EXECUTE FUNCTION fidelog.refuse_bare_change();
ALTER TABLE fidelog.client_profiles ENABLE ALWAYS TRIGGER client_profiles_bare_change;
CREATE TRIGGER client_profiles_empty_change AFTER UPDATE ON fidelog.client_profiles
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION fidelog.refuse_empty_change();
ALTER TABLE fidelog.client_profiles ENABLE ALWAYS TRIGGER client_profiles_empty_change;

CREATE TRIGGER agent_tasks_bare_change BEFORE UPDATE ON fidelog.agent_tasks FOR EACH ROW
    WHEN (NOT (new.version > old.version AND new.position > old.position
               AND new.tenant_id = old.tenant_id AND new.task_id = old.task_id))
    EXECUTE FUNCTION fidelog.refuse_bare_change();
ALTER TABLE fidelog.agent_tasks ENABLE ALWAYS TRIGGER agent_tasks_bare_change;
CREATE TRIGGER agent_tasks_empty_change AFTER UPDATE ON fidelog.agent_tasks
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION fidelog.refuse_empty_change();
ALTER TABLE fidelog.agent_tasks ENABLE ALWAYS TRIGGER agent_tasks_empty_change;

ALTER TABLE fidelog.client_profiles ENABLE ROW LEVEL SECURITY;
ALTER TABLE fidelog.agent_tasks ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON fidelog.client_profiles TO fidelog_writer, fidelog_reader, fidelog_keeper
    USING (tenant_id = current_setting('fidelog.tenant_id', true))
    WITH CHECK (tenant_id = current_setting('fidelog.tenant_id', true));
CREATE POLICY own_tenant ON fidelog.agent_tasks TO fidelog_writer, fidelog_reader, fidelog_keeper
    USING (tenant_id = current_setting('fidelog.tenant_id', true))
    WITH CHECK (tenant_id = current_setting('fidelog.tenant_id', true));
CREATE POLICY all_tenants ON fidelog.client_profiles FOR SELECT TO fidelog_auditor USING (true);
CREATE POLICY all_tenants ON fidelog.agent_tasks FOR SELECT TO fidelog_auditor USING (true);

GRANT SELECT ON fidelog.client_profiles, fidelog.agent_tasks
    TO fidelog_writer, fidelog_reader, fidelog_keeper, fidelog_auditor;
GRANT INSERT, UPDATE ON fidelog.client_profiles, fidelog.agent_tasks TO fidelog_writer;
