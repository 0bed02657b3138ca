-- Legal holds, classes of records that must be kept, and the erasure of a client; null where there was never anything.
ALTER TABLE fidelog.client_profiles ADD COLUMN standing json;

-- A key is destroyed in the transaction of an event about that person and nobody else.
CREATE FUNCTION fidelog.destroyed_with_event() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
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

CREATE TRIGGER client_keys_destroyed AFTER INSERT OR UPDATE ON fidelog.client_keys FOR EACH ROW
    WHEN (new.wrapped IS NULL) EXECUTE FUNCTION fidelog.destroyed_with_event();
ALTER TABLE fidelog.client_keys ENABLE ALWAYS TRIGGER client_keys_destroyed;
