-- The officer's index: one row per event and subject, filled by a tail, so that the hot table of events stays lean.
-- An event about nobody has one row, with the subject ''. leads marks exactly one row of each event.

CREATE TABLE fidelog.audit_index (
    tenant_id       text COLLATE "C" NOT NULL,
    subject         text COLLATE "C" NOT NULL,
    position        bigint NOT NULL,
    leads           boolean NOT NULL,
    stream          text COLLATE "C" NOT NULL,
    type            text COLLATE "C" NOT NULL,
    actor           text COLLATE "C" NOT NULL,
    correlation_id  text COLLATE "C" NOT NULL,
    decision_id     text COLLATE "C",      -- null unless the event is about a decision
    recorded_at     timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, subject, position)
);

CREATE INDEX audit_index_actor ON fidelog.audit_index (tenant_id, actor, position) WHERE leads;
CREATE INDEX audit_index_type ON fidelog.audit_index (tenant_id, type, position) WHERE leads;
CREATE INDEX audit_index_correlation ON fidelog.audit_index (tenant_id, correlation_id, position) WHERE leads;
CREATE INDEX audit_index_decision ON fidelog.audit_index (tenant_id, decision_id, position)
    WHERE leads AND decision_id IS NOT NULL;

ALTER TABLE fidelog.audit_index ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON fidelog.audit_index TO fidelog_writer, fidelog_reader, fidelog_keeper
    USING (tenant_id = current_setting('fidelog.tenant_id', true))
    WITH CHECK (tenant_id = current_setting('fidelog.tenant_id', true));
CREATE POLICY all_tenants ON fidelog.audit_index FOR SELECT TO fidelog_auditor USING (true);

GRANT SELECT ON fidelog.audit_index TO fidelog_writer, fidelog_reader, fidelog_keeper, fidelog_auditor;
GRANT INSERT, DELETE ON fidelog.audit_index TO fidelog_keeper;

-- What the index should hold: filled from, and checked against, this one view.
CREATE VIEW fidelog.audit_index_rows WITH (security_invoker = true) AS
SELECT e.tenant_id, about.subject, e.position, about.subject = coalesce(e.subjects[1], '') AS leads, e.stream, e.type,
       e.actor, e.correlation_id, CASE WHEN e.stream LIKE 'decision-%' THEN substr(e.stream, 10) END AS decision_id,
       e.recorded_at
FROM fidelog.events AS e
CROSS JOIN LATERAL (
    SELECT DISTINCT named.subject
    FROM unnest(CASE WHEN cardinality(e.subjects) = 0 THEN ARRAY[''] ELSE e.subjects END) AS named (subject)
) AS about;
GRANT SELECT ON fidelog.audit_index_rows TO fidelog_keeper, fidelog_auditor;
