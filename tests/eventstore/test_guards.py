"""P1, P2, P3, P4, P9: what PostgreSQL itself refuses, whoever asks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from api.demo import ARTICLES_UPDATE
from eventstore.database import Database, Login
from tests.clusters import Cluster
from tests.eventstore.writer.harness import TENANT, envelope, rows, vault_of, writing

CHANGES = (
    "UPDATE fidelog.events SET actor = 'user:forged'",
    "UPDATE fidelog.events SET actor = 'user:forged' WHERE position = -1",
    "DELETE FROM fidelog.events",
    "DELETE FROM fidelog.events WHERE position = -1",
    "TRUNCATE fidelog.events",
)

EVERY_LOGIN: tuple[Login, ...] = ("owner", "writer", "reader", "keeper", "sealer", "auditor", "superuser")


def write(pg: Cluster, database: Database, *clients: str) -> None:
    """Record clients through the writer."""

    async def submit() -> None:
        vault = await vault_of(pg, database)
        async with writing(database, vault) as writer:
            for client in clients:
                await writer.submit(envelope(vault, client))

    asyncio.run(submit())


@pytest.fixture(scope="module")
def database(pg: Cluster) -> Iterator[Database]:
    """One database for all: whatever is tried here is refused, so nothing changes. It holds one client."""
    with pg.copy() as name:
        found = pg.database(name)
        write(pg, found, "c")
        yield found


def refused(database: Database, login: Login, *statements: str, values: Any = None) -> str:
    """Run statements as the login, with the tenant set, expecting the last to be refused; its SQLSTATE."""
    with psycopg.connect(database.url(login), autocommit=True) as connection:
        connection.execute("SELECT set_config('fidelog.tenant_id', %s, false)", (TENANT,))
        for statement in statements[:-1]:
            connection.execute(statement.encode())
        with pytest.raises(psycopg.Error) as caught:
            connection.execute(statements[-1].encode(), values)
    return caught.value.sqlstate or ""


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("login", EVERY_LOGIN)
def test_events_never_change(database: Database, login: Login, change: str) -> None:
    """P2: UPDATE, DELETE and TRUNCATE end in an error for every login, also when no row matches."""
    before = rows(database, "SELECT * FROM fidelog.events")
    assert refused(database, login, change) in {"FL001", "42501"}
    assert rows(database, "SELECT * FROM fidelog.events") == before


@pytest.mark.parametrize("change", CHANGES)
def test_not_even_a_superuser_who_turns_ordinary_triggers_off(database: Database, change: str) -> None:
    """P2: the guards are ENABLE ALWAYS, so session_replication_role = replica does not turn them off."""
    assert refused(database, "superuser", "SET session_replication_role = replica", change) == "FL001"
    assert rows(database, "SELECT count(*) FROM fidelog.events") == [(1,)]


@pytest.mark.parametrize("login", ["writer", "reader", "keeper", "sealer", "auditor"])
@pytest.mark.parametrize(
    "attempt",
    [
        "SET session_replication_role = replica",
        "ALTER TABLE fidelog.events DISABLE TRIGGER ALL",
        "DROP TRIGGER events_never_change ON fidelog.events",
        "ALTER TABLE fidelog.events DISABLE ROW LEVEL SECURITY",
        "CREATE OR REPLACE FUNCTION fidelog.refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "CREATE TABLE fidelog.mine (a int)",
        "SET ROLE fidelog_owner",
        "UPDATE fidelog.logs SET tenant_id = 'x'",
        "UPDATE fidelog.client_keys SET wrapped = NULL",
        "DELETE FROM fidelog.client_profiles",
        "TRUNCATE fidelog.agent_tasks",
    ],
)
def test_the_applications_logins_cannot_loosen_a_guard(database: Database, login: Login, attempt: str) -> None:
    """P2: no login of the service may turn a guard off, replace it, or reach around it.

    The keeper may delete a row only to put it back in the same transaction (replay).
    """
    if database.kind == "server" and attempt.startswith("SET ROLE"):
        pytest.skip("logins that share a superuser's URL can take any role, as serve and status say")
    if database.kind == "server" and attempt.startswith("SET session_replication_role"):
        pytest.skip("logins that share a superuser's URL keep its rights to such settings")
    assert refused(database, login, attempt) in {"42501", "FL001", "FL004"}


def test_the_lock_row_is_locked_and_never_updated(database: Database) -> None:
    """The writer's one-column grant permits the lock and no change."""
    assert refused(database, "writer", "UPDATE fidelog.logs SET lock_grant = true") == "FL001"
    assert rows(database, "SELECT lock_grant FROM fidelog.logs") == [(None,)]


EVENT = (
    "INSERT INTO fidelog.events (tenant_id, position, format, stream, version, event_id, type, schema_version, data,"
    " subjects, actor, command_id, correlation_id, recorded_at) VALUES ('{tenant}', {position}, 1, '{stream}',"
    " {version}, gen_random_uuid(), 'Forged', 1, '{{}}', '{{}}', 'user:x', gen_random_uuid(), 'x', {time})"
)


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({"position": 3}, "FL002"),
        ({"position": 0}, "23514"),
        ({"position": 1}, "23505"),
        ({"version": 2}, "FL002"),
        ({"stream": "client-c", "version": 3}, "FL002"),
        ({"stream": "client-c", "version": 1}, "23505"),
        ({"time": "clock_timestamp() - interval '1 day'"}, "FL002"),
        ({"tenant": "other"}, "42501"),
    ],
)
def test_forged_positions_versions_times_and_tenants_are_refused(
    database: Database, change: dict[str, Any], state: str
) -> None:
    """P3, P4, P9: an insert that does not continue the log is refused, although the writer may insert."""
    values = {"tenant": TENANT, "position": 2, "stream": "client-d", "version": 1, "time": "clock_timestamp()"} | change
    assert refused(database, "writer", EVENT.format(**values)) == state
    assert rows(database, "SELECT count(*) FROM fidelog.events") == [(1,)]


PROOF = {
    "tiles": "VALUES ('{tenant}', 0, 0, decode(repeat('00', 8192), 'hex'))",
    "checkpoints": "VALUES ('{tenant}', 'example.com/log', 1, decode(repeat('00', 32), 'hex'), 'note')",
    "cosignatures": "VALUES ('{tenant}', 'example.com/log', 1, 'witness', 'line')",
}


@pytest.mark.parametrize("table", PROOF)
def test_what_was_sealed_never_changes(database: Database, table: str) -> None:
    """The sealer inserts for its own tenant and nobody else does; no login, owner and superuser included, changes or
    removes a tile, a checkpoint or a cosignature, also when no row matches and ordinary triggers are off."""
    insert, column = f"INSERT INTO fidelog.{table} {PROOF[table]}", "hashes" if table == "tiles" else "tenant_id"
    for login in ("writer", "reader", "keeper", "auditor"):
        assert refused(database, login, insert.format(tenant=TENANT)) == "42501"
    assert refused(database, "sealer", insert.format(tenant="other")) == "42501"
    for change in (
        f"UPDATE fidelog.{table} SET {column} = {column}",
        f"DELETE FROM fidelog.{table}",
        f"TRUNCATE fidelog.{table}",
    ):
        for login in EVERY_LOGIN:
            assert refused(database, login, change) in {"FL001", "42501"}
        assert refused(database, "superuser", "SET session_replication_role = replica", change) == "FL001"
    with psycopg.connect(database.url("sealer")) as connection:
        connection.execute("SELECT set_config('fidelog.tenant_id', %s, false)", (TENANT,))
        assert connection.execute(insert.format(tenant=TENANT).encode()).rowcount == 1
        connection.rollback()


def test_no_upsert_on_events(database: Database) -> None:
    """P2: ON CONFLICT DO UPDATE is an UPDATE."""
    values = {"tenant": TENANT, "position": 1, "stream": "client-c", "version": 1, "time": "clock_timestamp()"}
    upsert = EVENT.format(**values) + " ON CONFLICT (tenant_id, position) DO UPDATE SET actor = 'user:forged'"
    assert refused(database, "writer", upsert) in {"42501", "FL001"}


@pytest.mark.parametrize("login", ["reader", "auditor", "writer"])
@pytest.mark.parametrize("with_task", [False, True])
def test_the_articles_update_is_refused_as_written(
    pg: Cluster, database: Database, login: Login, with_task: bool
) -> None:
    """P1: an error, not UPDATE 0, whether or not a pending task matches, with and without the tenant set."""
    if with_task:
        rows(
            database,
            "INSERT INTO fidelog.agent_tasks VALUES ('default', '00000000-0000-4000-8000-000000000000', 'client-001',"
            " 'rebalancing_agent', 'pending', 3, 0, '{}', null, null, null, null, null, null, null, 1, now(), now(),"
            " 1, 1, 1) ON CONFLICT DO NOTHING",
        )
    before = rows(database, "SELECT * FROM fidelog.agent_tasks")
    for settings in ((), (f"SELECT set_config('fidelog.tenant_id', '{TENANT}', false)",)):
        with psycopg.connect(database.url(login), autocommit=True) as connection:
            for statement in settings:
                connection.execute(statement.encode())
            with pytest.raises(psycopg.Error) as caught:
                connection.execute(ARTICLES_UPDATE, ('{"action": "rebalance"}', "client-001"))
        assert caught.value.sqlstate == ("FL004" if login == "writer" else "42501")
    assert rows(database, "SELECT * FROM fidelog.agent_tasks") == before


def test_the_writer_changes_a_row_only_with_its_version_and_position(database: Database) -> None:
    """P1: the guard on read models lets a row move forward only."""
    for change in (
        "risk_profile = 'growth'",
        "risk_profile = 'growth', version = version + 1",
        "risk_profile = 'growth', position = position + 1",
        "client_id = 'd', version = version + 1, position = position + 1",
    ):
        assert refused(database, "writer", f"UPDATE fidelog.client_profiles SET {change}") == "FL004"
    assert rows(database, "SELECT client_id, risk_profile, version, position FROM fidelog.client_profiles") == [
        ("c", "moderate", 1, 1)
    ]


TENANT_TABLES = (
    "logs", "events", "client_keys", "tenant_keys", "tail_checkpoints", "client_profiles", "agent_tasks", "audit_index",
    "administration", "tiles", "checkpoints", "cosignatures",
)  # fmt: skip


@pytest.mark.parametrize("table", TENANT_TABLES)
@pytest.mark.parametrize("login", ["writer", "reader", "keeper", "sealer"])
@pytest.mark.parametrize("tenant", ["other", None])
def test_a_forgotten_predicate_shows_no_row_of_another_tenant(
    pg: Cluster, database: Database, login: Login, table: str, tenant: str | None
) -> None:
    """P9: row-level security under the logins the service uses; without a tenant no row is visible at all."""
    with psycopg.connect(database.url(login), autocommit=True) as connection:
        if tenant is not None:
            connection.execute("SELECT set_config('fidelog.tenant_id', %s, false)", (tenant,))
        try:
            cursor = connection.execute(f"SELECT count(*) FROM fidelog.{table}".encode())
        except psycopg.errors.InsufficientPrivilege:
            return
        assert cursor.fetchone() == (0,)


def test_every_table_of_ours_with_a_tenant_has_row_level_security(database: Database) -> None:
    """P9: a table that somebody adds later cannot be forgotten."""
    found = rows(
        database,
        "SELECT c.relname, c.relrowsecurity FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid"
        " WHERE c.relnamespace = 'fidelog'::regnamespace AND c.relkind = 'r' AND a.attname = 'tenant_id'",
    )
    assert {name for name, _ in found} == {*TENANT_TABLES, "api_key_uses"}, "the writer has no right to the last"
    assert all(secured for _, secured in found)


def test_a_temporary_table_shadows_nothing(pg: Cluster, database: Database) -> None:
    """search_path: pg_catalog first, pg_temp last, on every connection."""
    with psycopg.connect(database.url("superuser"), autocommit=True) as connection:
        connection.execute("CREATE TEMPORARY TABLE events (position bigint)")
        cursor = connection.execute("SELECT count(*) FROM events")
        assert cursor.fetchone() == (1,)


def test_the_guards_are_always_on(database: Database) -> None:
    """Every trigger of ours is ENABLE ALWAYS."""
    found = rows(
        database,
        "SELECT t.tgname, t.tgenabled::text FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid"
        " WHERE c.relnamespace = 'fidelog'::regnamespace AND NOT t.tgisinternal",
    )
    assert len(found) == 22
    assert {flag for _, flag in found} == {"A"}


def test_sessions_run_with_the_settings_the_promises_need(database: Database) -> None:
    """P6 and the plans: durable commits, bounded stops, index plans only."""
    names = "synchronous_commit", "idle_in_transaction_session_timeout", "enable_seqscan", "search_path"
    with psycopg.connect(database.url("writer"), autocommit=True) as connection:
        found = [connection.execute(f"SHOW {name}".encode()).fetchone() for name in names]
    assert found == [("on",), ("2s",), ("off",), ("pg_catalog,fidelog,pg_temp",)]
