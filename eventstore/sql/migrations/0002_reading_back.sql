-- Reading the past: who may take the tenant's lock, which position a time has, which version a position has.

-- The lock also settles questions about the last seconds (reader: shared) and guards replay's changes (keeper).
GRANT UPDATE (lock_grant) ON fidelog.logs TO fidelog_reader, fidelog_keeper;

-- The newest position recorded at or before `at`; 0 before the first. P3: recorded_at never goes back, so halving finds it.
CREATE FUNCTION fidelog.position_at(tenant text, at timestamptz) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
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

-- The stream's newest version at or before the position; 0 before its first. P4: versions follow positions.
CREATE FUNCTION fidelog.version_at(tenant text, name text, at bigint) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
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

-- Why a tail stands still, for whoever asks for the status; null while it follows.
ALTER TABLE fidelog.tail_checkpoints ADD COLUMN fault text;
