"""Least privilege: a start is refused when a login may do more or less than the migrations grant it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from api.database import check_logins
from eventstore.database import LOGINS, Database
from eventstore.migrations import MigrationError
from eventstore.rights import rights, role, write
from tests.clusters import Cluster

TABLE = Path(__file__).resolve().parents[2] / "api" / "rights.txt"


async def granted(database: Database) -> str:
    """The table of what a database's roles were granted."""
    async with await psycopg.AsyncConnection.connect(database.url("superuser")) as connection:
        return write(await rights(connection, map(role, LOGINS)))


def refused(database: Database) -> str:
    """The one line a start is refused with."""
    with pytest.raises(MigrationError) as refusal:
        asyncio.run(check_logins(database))
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def test_the_table_of_rights_is_what_the_migrations_grant(database: Database) -> None:
    """api/rights.txt equals the grants in a freshly migrated database (regenerate it with `make schema`)."""
    assert asyncio.run(granted(database)) == TABLE.read_text(encoding="utf-8")


def test_a_migrated_database_is_in_order(database: Database) -> None:
    """Nothing is refused that the migrations made."""
    asyncio.run(check_logins(database))


IN_DATABASE = {
    "GRANT UPDATE ON fidelog.events TO fidelog_writer": "REVOKE UPDATE ON TABLE fidelog.events FROM fidelog_writer",
    "GRANT TRUNCATE ON fidelog.events TO fidelog_keeper": "REVOKE TRUNCATE ON TABLE fidelog.events FROM fidelog_keeper",
    "GRANT SELECT ON fidelog.client_keys TO fidelog_auditor": "REVOKE SELECT ON TABLE fidelog.client_keys FROM fidelog_auditor",
    "GRANT INSERT ON fidelog.events TO PUBLIC": "REVOKE INSERT ON TABLE fidelog.events FROM PUBLIC",
    "GRANT UPDATE (data) ON fidelog.events TO fidelog_reader": "REVOKE UPDATE(data) ON TABLE fidelog.events FROM fidelog_reader",
    "GRANT SELECT ON fidelog.events TO fidelog_reader WITH GRANT OPTION":
        "REVOKE GRANT OPTION FOR SELECT ON TABLE fidelog.events FROM fidelog_reader",
    "GRANT CREATE ON SCHEMA fidelog TO fidelog_writer": "REVOKE CREATE ON SCHEMA fidelog FROM fidelog_writer",
    "ALTER TABLE fidelog.agent_tasks OWNER TO fidelog_writer": "ALTER TABLE fidelog.agent_tasks OWNER TO fidelog_owner",
    "REVOKE INSERT ON fidelog.events FROM fidelog_writer": "GRANT INSERT ON TABLE fidelog.events TO fidelog_writer",
}  # fmt: skip


@pytest.mark.parametrize("change", IN_DATABASE)
def test_another_right_than_granted_is_named(pg: Cluster, database_name: str, change: str) -> None:
    """One line with the statement that puts it right, for each kind of right; and it does."""
    pg.execute(change, database_name)
    line = refused(pg.database(database_name))
    assert IN_DATABASE[change] in line
    if "OWNER" not in change:
        pg.execute(IN_DATABASE[change], database_name)
        asyncio.run(check_logins(pg.database(database_name)))


OF_THE_CLUSTER = {
    "ALTER ROLE fidelog_writer SUPERUSER": "ALTER ROLE fidelog_writer NOSUPERUSER",
    "ALTER ROLE fidelog_reader BYPASSRLS": "ALTER ROLE fidelog_reader NOBYPASSRLS",
    "ALTER ROLE fidelog_keeper CREATEROLE": "ALTER ROLE fidelog_keeper NOCREATEROLE",
    "ALTER ROLE fidelog_owner CREATEDB": "ALTER ROLE fidelog_owner NOCREATEDB",
    "ALTER ROLE fidelog_auditor REPLICATION": "ALTER ROLE fidelog_auditor NOREPLICATION",
    "GRANT fidelog_owner TO fidelog_writer": "REVOKE fidelog_owner FROM fidelog_writer",
    "GRANT pg_read_all_data TO fidelog_auditor": "REVOKE pg_read_all_data FROM fidelog_auditor",
}


@pytest.mark.parametrize("change", OF_THE_CLUSTER)
def test_an_attribute_or_a_role_too_many_is_named(pg: Cluster, database: Database, change: str) -> None:
    """For every login, and roles that it could take."""
    pg.execute(change)
    try:
        assert OF_THE_CLUSTER[change] in refused(database)
    finally:
        pg.execute(OF_THE_CLUSTER[change])
    asyncio.run(check_logins(database))


def test_another_user_than_the_logins_own_is_judged_by_what_it_may(pg: Cluster, database: Database) -> None:
    """A superuser's URL for the writer is refused, however right the writer's role is."""
    urls = {login: database.urls.get(login, database.url(login)) for login in LOGINS}
    line = refused(replace(database, urls={**urls, "writer": database.url("superuser")}))
    assert "the login writer" in line
    assert "NOSUPERUSER" in line
