-- Lists of tasks, leases that ran out, and what replay may do.

-- Claims no longer ask for pending tasks (the queue is a fold in the writer's memory); lists do.
DROP INDEX fidelog.agent_tasks_pending;
CREATE INDEX agent_tasks_by_status ON fidelog.agent_tasks (tenant_id, status, created_position);
CREATE INDEX agent_tasks_by_agent ON fidelog.agent_tasks (tenant_id, agent_name, status, created_position);
CREATE INDEX agent_tasks_by_client ON fidelog.agent_tasks (tenant_id, client_id, created_position);
CREATE INDEX agent_tasks_leases ON fidelog.agent_tasks (tenant_id, lease_expires_at) WHERE status = 'claimed';

-- P7: a row is never written by an older fold than the one that wrote it before.
DROP TRIGGER client_profiles_bare_change ON fidelog.client_profiles;
CREATE TRIGGER client_profiles_bare_change BEFORE UPDATE ON fidelog.client_profiles FOR EACH ROW
    WHEN (NOT (new.version > old.version AND new.position > old.position AND new.fold_version >= old.fold_version
               AND new.tenant_id = old.tenant_id AND new.client_id = old.client_id))
    EXECUTE FUNCTION fidelog.refuse_bare_change();
ALTER TABLE fidelog.client_profiles ENABLE ALWAYS TRIGGER client_profiles_bare_change;

DROP TRIGGER agent_tasks_bare_change ON fidelog.agent_tasks;
CREATE TRIGGER agent_tasks_bare_change BEFORE UPDATE ON fidelog.agent_tasks FOR EACH ROW
    WHEN (NOT (new.version > old.version AND new.position > old.position AND new.fold_version >= old.fold_version
               AND new.tenant_id = old.tenant_id AND new.task_id = old.task_id))
    EXECUTE FUNCTION fidelog.refuse_bare_change();
ALTER TABLE fidelog.agent_tasks ENABLE ALWAYS TRIGGER agent_tasks_bare_change;

-- Replay replaces a row by deleting it and inserting it again, under the tenant's lock. P7: at the end of the
-- transaction a deleted row stands again at its stream's newest version, unless no event of its stream exists.
CREATE FUNCTION fidelog.refuse_lost_row() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
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
END $$;

CREATE CONSTRAINT TRIGGER client_profiles_lost_row AFTER DELETE ON fidelog.client_profiles
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    EXECUTE FUNCTION fidelog.refuse_lost_row('client', 'client_id', 'text');
ALTER TABLE fidelog.client_profiles ENABLE ALWAYS TRIGGER client_profiles_lost_row;
CREATE CONSTRAINT TRIGGER agent_tasks_lost_row AFTER DELETE ON fidelog.agent_tasks
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    EXECUTE FUNCTION fidelog.refuse_lost_row('task', 'task_id', 'uuid');
ALTER TABLE fidelog.agent_tasks ENABLE ALWAYS TRIGGER agent_tasks_lost_row;

GRANT INSERT, DELETE ON fidelog.client_profiles, fidelog.agent_tasks TO fidelog_keeper;
