-- Two filters at once: what is checked on each candidate stands in the index that gives the candidates, so that a
-- candidate that is not wanted costs no visit of the table.

ALTER TABLE fidelog.audit_index DROP CONSTRAINT audit_index_pkey;
ALTER TABLE fidelog.audit_index ADD CONSTRAINT audit_index_pkey
    PRIMARY KEY (tenant_id, subject, position) INCLUDE (type, actor);

DROP INDEX fidelog.audit_index_actor;
CREATE INDEX audit_index_actor ON fidelog.audit_index (tenant_id, actor, position) INCLUDE (type) WHERE leads;
