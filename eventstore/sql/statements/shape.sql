-- What the log's promises rest on in this database, a line each: kind, whose, name, what it is, and the statement that makes
-- it so. Definitions are of the catalogue and not of anybody's text, and the search path is empty, so that every server
-- from 15 on says the same. Of read models only what guards them: their columns and indexes are replay's to judge.
WITH log_tables AS (
    SELECT unnest(ARRAY['checkpoints', 'client_keys', 'cosignatures', 'events', 'logs', 'migrations', 'tenant_keys', 'tiles']) AS name
), relations AS (
    SELECT c.oid, c.relname, c.relkind, c.relrowsecurity, c.relforcerowsecurity, c.relowner, c.relpersistence,
           'fidelog.' || pg_catalog.quote_ident(c.relname) AS place, l.name IS NOT NULL AS of_log
    FROM pg_catalog.pg_class AS c
    LEFT JOIN log_tables AS l ON l.name = c.relname
    WHERE c.relnamespace = 'fidelog'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
), lines AS (
    SELECT 'schema' AS kind, 'fidelog' AS place, '' AS name,
           'owner ' || pg_catalog.pg_get_userbyid(n.nspowner) AS is, 'ALTER SCHEMA fidelog OWNER TO fidelog_owner' AS make
    FROM pg_catalog.pg_namespace AS n WHERE n.nspname = 'fidelog'
    UNION ALL
    SELECT 'table', place, '',
           pg_catalog.format('kind %s, persistence %s, owner %s', relkind, relpersistence, pg_catalog.pg_get_userbyid(relowner)),
           'ALTER TABLE ' || place || ' OWNER TO ' || pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(relowner))
    FROM relations WHERE of_log
    UNION ALL
    SELECT 'row security', place, '', pg_catalog.format('enabled %s, forced %s', relrowsecurity, relforcerowsecurity),
           pg_catalog.format('ALTER TABLE %s %s ROW LEVEL SECURITY, %s FORCE ROW LEVEL SECURITY', place,
               CASE WHEN relrowsecurity THEN 'ENABLE' ELSE 'DISABLE' END, CASE WHEN relforcerowsecurity THEN '' ELSE 'NO' END)
    FROM relations WHERE relkind IN ('r', 'p')
    UNION ALL
    SELECT 'inheritance', r.place, i.inhparent::regclass::text || ' of ' || i.inhrelid::regclass::text, 'inherits', NULL
    FROM pg_catalog.pg_inherits AS i JOIN relations AS r ON r.oid IN (i.inhrelid, i.inhparent)
    UNION ALL
    SELECT 'column', r.place, a.attname,
           pg_catalog.format('number %s, type %s, collation %s, not null %s, default %s, identity "%s", generated "%s"',
               pg_catalog.row_number() OVER (PARTITION BY r.oid ORDER BY a.attnum),
               pg_catalog.format_type(a.atttypid, a.atttypmod),
               (SELECT collname FROM pg_catalog.pg_collation WHERE oid = a.attcollation), a.attnotnull,
               pg_catalog.pg_get_expr(d.adbin, d.adrelid), a.attidentity, a.attgenerated),
           NULL
    FROM relations AS r
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE r.of_log
    UNION ALL
    -- Not null is said with the column: only some versions have it here too.
    SELECT 'constraint', r.place, c.conname,
           pg_catalog.pg_get_constraintdef(c.oid) || CASE WHEN c.convalidated THEN '' ELSE ' not validated' END,
           pg_catalog.format('ALTER TABLE %s ADD CONSTRAINT %I %s', r.place, c.conname, pg_catalog.pg_get_constraintdef(c.oid))
    FROM relations AS r JOIN pg_catalog.pg_constraint AS c ON c.conrelid = r.oid
    WHERE r.of_log AND c.contype <> 'n' AND c.contype <> 't'
    UNION ALL
    SELECT 'index', r.place, i.indexrelid::regclass::text,
           pg_catalog.pg_get_indexdef(i.indexrelid) || pg_catalog.format(', valid %s', i.indisvalid AND i.indisready AND i.indislive),
           pg_catalog.pg_get_indexdef(i.indexrelid)
    FROM relations AS r JOIN pg_catalog.pg_index AS i ON i.indrelid = r.oid
    WHERE r.of_log AND NOT EXISTS (
        SELECT 1 FROM pg_catalog.pg_constraint AS c WHERE c.conindid = i.indexrelid AND i.indisvalid AND i.indisready)
    UNION ALL
    SELECT 'trigger', r.place, t.tgname,
           pg_catalog.format('enabled %s, calls %I.%I, %s', t.tgenabled, n.nspname, p.proname, pg_catalog.pg_get_triggerdef(t.oid)),
           pg_catalog.format('DROP TRIGGER IF EXISTS %I ON %s; %s; ALTER TABLE %2$s ENABLE ALWAYS TRIGGER %1$I',
               t.tgname, r.place, pg_catalog.pg_get_triggerdef(t.oid))
    FROM relations AS r
    JOIN pg_catalog.pg_trigger AS t ON t.tgrelid = r.oid AND NOT t.tgisinternal
    JOIN pg_catalog.pg_proc AS p ON p.oid = t.tgfoid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
    UNION ALL
    SELECT 'policy', r.place, p.polname, made.text,
           pg_catalog.format('DROP POLICY IF EXISTS %I ON %s; CREATE POLICY %1$I ON %2$s %s', p.polname, r.place, made.text)
    FROM relations AS r
    JOIN pg_catalog.pg_policy AS p ON p.polrelid = r.oid
    CROSS JOIN LATERAL (
        SELECT pg_catalog.concat_ws(' ',
            CASE WHEN p.polpermissive THEN 'AS PERMISSIVE' ELSE 'AS RESTRICTIVE' END,
            'FOR ' || CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE'
                                    WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
            'TO ' || (SELECT pg_catalog.string_agg(CASE WHEN role = 0 THEN 'PUBLIC'
                          ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(role)) END, ', '
                          ORDER BY pg_catalog.pg_get_userbyid(role))
                      FROM pg_catalog.unnest(p.polroles) AS role),
            'USING (' || pg_catalog.pg_get_expr(p.polqual, p.polrelid) || ')',
            'WITH CHECK (' || pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) || ')') AS text
    ) AS made
    UNION ALL
    SELECT 'rule', r.place, w.rulename, pg_catalog.format('enabled %s, %s', w.ev_enabled, pg_catalog.pg_get_ruledef(w.oid)),
           pg_catalog.pg_get_ruledef(w.oid)
    FROM relations AS r JOIN pg_catalog.pg_rewrite AS w ON w.ev_class = r.oid
    WHERE w.rulename <> '_RETURN'
    UNION ALL
    SELECT 'function', 'fidelog', p.oid::regprocedure::text,
           pg_catalog.format('owner %s, kind %s, returns %s, language %s, security definer %s, volatile %s, strict %s, leakproof %s,'
               || ' settings %s, body %s',
               pg_catalog.pg_get_userbyid(p.proowner), p.prokind, pg_catalog.pg_get_function_result(p.oid), l.lanname,
               p.prosecdef, p.provolatile, p.proisstrict, p.proleakproof, p.proconfig,
               pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(p.prosrc, 'UTF8')), 'hex')),
           pg_catalog.pg_get_functiondef(p.oid)
    FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang
    WHERE p.pronamespace = 'fidelog'::regnamespace AND p.prokind IN ('f', 'p')
)
SELECT kind, place, name, "is", make FROM lines ORDER BY kind COLLATE "C", place COLLATE "C", name COLLATE "C"
