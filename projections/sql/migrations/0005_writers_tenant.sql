-- P9: as a subquery the session's tenant is looked up once a statement, and not for every row it writes or reads.
ALTER POLICY own_tenant ON fidelog.client_profiles TO fidelog_reader, fidelog_keeper;
ALTER POLICY own_tenant ON fidelog.agent_tasks TO fidelog_reader, fidelog_keeper;
CREATE POLICY writers_tenant ON fidelog.client_profiles TO fidelog_writer
    USING (tenant_id = (SELECT current_setting('fidelog.tenant_id', true)))
    WITH CHECK (tenant_id = (SELECT current_setting('fidelog.tenant_id', true)));
CREATE POLICY writers_tenant ON fidelog.agent_tasks TO fidelog_writer
    USING (tenant_id = (SELECT current_setting('fidelog.tenant_id', true)))
    WITH CHECK (tenant_id = (SELECT current_setting('fidelog.tenant_id', true)));
