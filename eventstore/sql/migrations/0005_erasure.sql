-- Keys that are destroyed, and keys that are wrapped anew. P8: a key row changes in these two ways only, and never back.

ALTER TABLE fidelog.client_keys
    ADD COLUMN destroyed_at       timestamptz,  -- when, in a tombstone
    ADD COLUMN destroyed_position bigint;       -- position of the event it was destroyed with

CREATE INDEX client_keys_destroyed ON fidelog.client_keys (tenant_id, destroyed_position) WHERE wrapped IS NULL;

CREATE FUNCTION fidelog.refuse_key_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '% on %.% is refused: a key is destroyed with the event that says so, or wrapped anew under a later epoch',
        TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME USING ERRCODE = 'FL004';
END $$;

CREATE TRIGGER client_keys_change BEFORE UPDATE ON fidelog.client_keys FOR EACH ROW
    WHEN (NOT (
        new.tenant_id = old.tenant_id AND new.subject = old.subject AND new.key_id = old.key_id
        AND new.created_at = old.created_at AND old.wrapped IS NOT NULL
        AND (
            (new.wrapped IS NULL AND new.epoch = old.epoch
             AND new.destroyed_at IS NOT NULL AND new.destroyed_position IS NOT NULL)
            OR (new.wrapped IS NOT NULL AND new.epoch > old.epoch
                AND new.destroyed_at IS NULL AND new.destroyed_position IS NULL)
        )))
    EXECUTE FUNCTION fidelog.refuse_key_change();
ALTER TABLE fidelog.client_keys ENABLE ALWAYS TRIGGER client_keys_change;

CREATE TRIGGER client_keys_never_removed BEFORE DELETE OR TRUNCATE ON fidelog.client_keys
    FOR EACH STATEMENT EXECUTE FUNCTION fidelog.refuse_change();
ALTER TABLE fidelog.client_keys ENABLE ALWAYS TRIGGER client_keys_never_removed;

-- A tenant's key names the epoch in use: it is wrapped anew before all others, and from then on nothing is wrapped under
-- an earlier one, whose master key is about to be destroyed.
CREATE FUNCTION fidelog.refuse_earlier_epoch() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
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

CREATE TRIGGER client_keys_epoch AFTER INSERT ON fidelog.client_keys
    REFERENCING NEW TABLE AS wrapped_now FOR EACH STATEMENT EXECUTE FUNCTION fidelog.refuse_earlier_epoch();
ALTER TABLE fidelog.client_keys ENABLE ALWAYS TRIGGER client_keys_epoch;

CREATE FUNCTION fidelog.refuse_earlier_tenant_epoch() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM fidelog.tenant_keys WHERE epoch > new.epoch) THEN
        RAISE EXCEPTION 'a key is wrapped under an epoch that has ended' USING ERRCODE = 'FL006';
    END IF;
    RETURN new;
END $$;

CREATE TRIGGER tenant_keys_epoch BEFORE INSERT ON fidelog.tenant_keys
    FOR EACH ROW EXECUTE FUNCTION fidelog.refuse_earlier_tenant_epoch();
ALTER TABLE fidelog.tenant_keys ENABLE ALWAYS TRIGGER tenant_keys_epoch;

CREATE TRIGGER tenant_keys_change BEFORE UPDATE ON fidelog.tenant_keys FOR EACH ROW
    WHEN (NOT (new.tenant_id = old.tenant_id AND new.epoch > old.epoch))
    EXECUTE FUNCTION fidelog.refuse_key_change();
ALTER TABLE fidelog.tenant_keys ENABLE ALWAYS TRIGGER tenant_keys_change;

CREATE TRIGGER tenant_keys_never_removed BEFORE DELETE OR TRUNCATE ON fidelog.tenant_keys
    FOR EACH STATEMENT EXECUTE FUNCTION fidelog.refuse_change();
ALTER TABLE fidelog.tenant_keys ENABLE ALWAYS TRIGGER tenant_keys_never_removed;

GRANT UPDATE (wrapped, destroyed_at, destroyed_position) ON fidelog.client_keys TO fidelog_writer;
GRANT SELECT ON fidelog.tenant_keys TO fidelog_keeper;
GRANT UPDATE (epoch, wrapped) ON fidelog.client_keys, fidelog.tenant_keys TO fidelog_keeper;

-- How far erasures have got, for status: no key and nobody's id.
CREATE FUNCTION fidelog.erasures()
RETURNS TABLE (tenant_id text, epoch integer, number bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT k.tenant_id, k.epoch, count(*)
    FROM fidelog.client_keys AS k WHERE k.wrapped IS NULL GROUP BY k.tenant_id, k.epoch
$$;
REVOKE EXECUTE ON FUNCTION fidelog.erasures() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fidelog.erasures() TO fidelog_auditor;
