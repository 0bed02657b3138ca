-- What each login may do in this database: attributes, roles it can take, what it owns, and what it was granted, itself or
-- through a role or PUBLIC. A superuser can take every role; one row says enough of it.
WITH logins AS (
    SELECT * FROM pg_catalog.pg_roles WHERE rolname = ANY($1)
), holders AS (
    SELECT l.rolname AS login, r.oid, pg_catalog.quote_ident(r.rolname) AS holder
    FROM logins AS l
    JOIN pg_catalog.pg_roles AS r ON r.oid = l.oid OR (NOT l.rolsuper AND pg_catalog.pg_has_role(l.oid, r.oid, 'MEMBER'))
    UNION ALL
    SELECT rolname, 0, 'PUBLIC' FROM logins
), relations AS (
    SELECT c.oid, c.relowner, c.relacl, 'TABLE fidelog.' || pg_catalog.quote_ident(c.relname) AS name
    FROM pg_catalog.pg_class AS c
    WHERE c.relnamespace = 'fidelog'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
), owned AS (
    SELECT relowner AS owner, name FROM relations
    UNION ALL
    SELECT proowner, 'FUNCTION ' || oid::regprocedure FROM pg_catalog.pg_proc WHERE pronamespace = 'fidelog'::regnamespace
    UNION ALL
    SELECT nspowner, 'SCHEMA fidelog' FROM pg_catalog.pg_namespace WHERE nspname = 'fidelog'
    UNION ALL
    SELECT datdba, 'DATABASE ' || pg_catalog.quote_ident(datname)
    FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()
), acls AS (
    SELECT name, NULL AS columns, relacl AS acl FROM relations
    UNION ALL
    SELECT r.name, '(' || pg_catalog.quote_ident(a.attname) || ')', a.attacl
    FROM relations AS r JOIN pg_catalog.pg_attribute AS a ON a.attrelid = r.oid AND a.attacl IS NOT NULL
    UNION ALL
    SELECT 'SCHEMA fidelog', NULL, nspacl FROM pg_catalog.pg_namespace WHERE nspname = 'fidelog'
    UNION ALL
    SELECT 'DATABASE ' || pg_catalog.quote_ident(datname), NULL, datacl
    FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()
)
SELECT l.rolname, 'attribute', a.name, '', pg_catalog.quote_ident(l.rolname)
FROM logins AS l
CROSS JOIN LATERAL (
    VALUES ('SUPERUSER', l.rolsuper), ('BYPASSRLS', l.rolbypassrls), ('CREATEROLE', l.rolcreaterole),
           ('CREATEDB', l.rolcreatedb), ('REPLICATION', l.rolreplication)
) AS a (name, given)
WHERE a.given
UNION ALL
SELECT login, 'role', holder, '', pg_catalog.quote_ident(login) FROM holders WHERE oid <> 0 AND holder <> pg_catalog.quote_ident(login)
UNION ALL
SELECT h.login, 'owner', o.name, '', h.holder FROM holders AS h JOIN owned AS o ON o.owner = h.oid
UNION ALL
SELECT h.login, 'grant', a.name, g.privilege_type || coalesce(a.columns, ''), h.holder
FROM acls AS a
CROSS JOIN LATERAL pg_catalog.aclexplode(a.acl) AS g
JOIN holders AS h ON h.oid = g.grantee
WHERE NOT (a.name LIKE 'DATABASE %' AND g.privilege_type IN ('CONNECT', 'TEMPORARY'))
UNION ALL
SELECT h.login, 'grant', a.name, 'GRANT OPTION FOR ' || g.privilege_type || coalesce(a.columns, ''), h.holder
FROM acls AS a
CROSS JOIN LATERAL pg_catalog.aclexplode(a.acl) AS g
JOIN holders AS h ON h.oid = g.grantee
WHERE g.is_grantable
ORDER BY 1, 2, 3, 4, 5
