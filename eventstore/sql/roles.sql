-- The logins, made once per cluster. A right of each is in the migrations.
DO $$
DECLARE
    login text;
BEGIN
    FOREACH login IN ARRAY ARRAY[
        'fidelog_owner', 'fidelog_writer', 'fidelog_reader', 'fidelog_keeper', 'fidelog_sealer', 'fidelog_auditor']
    LOOP
        BEGIN
            IF NOT EXISTS (SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = login) THEN
                EXECUTE format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS', login);
            END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;  -- another process made it at the same moment
        END;
    END LOOP;
END $$
