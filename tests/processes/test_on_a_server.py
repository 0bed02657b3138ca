"""FIDELOG_DATABASE_URL: a PostgreSQL that is not Fidelog's own. Played by an embedded one, by 16, or by a given one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import psycopg
import pytest
from psycopg import sql

from api.database import known_migrations
from api.demo import ARTICLES_UPDATE
from eventstore.database import LOGINS
from eventstore.embedded import EmbeddedServer
from tests.clusters import CLEAR_NAMES, Cluster
from tests.processes.conftest import Command, refusal
from tests.processes.fidelog_process import Folders, new_folders
from tests.waiting import until

CLIENT = {"client_id": "client-001", "full_name": CLEAR_NAMES[0], "risk_profile": "moderate"}
TASK = {
    "task_id": "550e8400-e29b-41d4-a716-446655440000",
    "client_id": "client-001",
    "agent_name": "rebalancing_agent",
    "payload": {"objective": "review allocation"},
}
NAME = f"fidelog_own_{os.getpid()}"
WARNING = "FIDELOG_WRITER_URL"


@dataclass
class Server:
    """A plain server: `cluster` for its superuser, `folders` for state and processes."""

    cluster: Cluster
    folders: Folders

    @property
    def url(self) -> str:
        return self.cluster.url(NAME)

    def settings(self, url: str | None = None) -> dict[str, str]:
        """Settings of an operator who has one URL."""
        return {**self.folders.settings(), "FIDELOG_DATABASE_URL": url or self.url}

    def clear(self) -> None:
        """Drop the database, the roles and the state folder, so that nothing of Fidelog is there."""
        self.cluster.drop(NAME)
        for role in (*(f"fidelog_{login}" for login in LOGINS), "app", "nobody_much"):
            self.cluster.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))
        shutil.rmtree(self.folders.state, ignore_errors=True)

    def create(self, options: str = "ENCODING 'UTF8'") -> None:
        """Make the database anew."""
        self.clear()
        self.cluster.execute(f"CREATE DATABASE {NAME} {options} TEMPLATE template0")


def plain_server(folders: Folders, major: Literal[16, 18]) -> Iterator[Server]:
    server = EmbeddedServer(folders.data, major=major, notice=lambda line: None)
    server.join()
    plain = Server(Cluster(server.conninfo("postgres", "postgres"), folders.state, None), folders)
    try:
        plain.cluster.drop("fidelog")
        yield plain
    finally:
        server.leave()


@pytest.fixture(scope="module")
def server18(prepared: Folders) -> Iterator[Server]:
    with new_folders(copied_from=prepared) as folders:
        yield from plain_server(folders, 18)


@pytest.fixture
def server(server18: Server) -> Server:
    """PostgreSQL 18 with an empty database and no role of Fidelog's."""
    server18.create()
    return server18


@pytest.fixture(params=["18", "16", "given"])
def any_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Also PostgreSQL 16, and the server of FIDELOG_TEST_DATABASE_URL, whose other databases are left alone."""
    if request.param == "18":
        yield request.getfixturevalue("server")
        return
    given = os.environ.get("FIDELOG_TEST_DATABASE_URL")
    if request.param == "given" and not given:
        pytest.skip("FIDELOG_TEST_DATABASE_URL is not set")
    with new_folders() as folders:
        if request.param == "16":
            for plain in plain_server(folders, 16):
                plain.create()
                yield plain
        else:
            plain = Server(Cluster(str(given), folders.state, None), folders)
            plain.cluster.drop(NAME)
            plain.cluster.create(NAME)
            yield plain
            plain.cluster.drop(NAME)


def test_the_article_on_a_server(any_server: Server, command: Command) -> None:
    """Migrated once, and found so; then the article's calls work, repeats add nothing, its UPDATE is refused to all."""
    settings = any_server.settings()
    names = [migration.name for migration in known_migrations()]
    status, out, err = command("migrate", **settings)
    assert (status, err) == (0, "")
    assert out.splitlines()[:-1] == [f"applied {name}" for name in names]
    up_to_date = f"the database is up to date: {len(names)} migrations applied\n"
    assert out.endswith(up_to_date)
    assert command("migrate", **settings) == (0, up_to_date, "")

    served = any_server.folders.serve(**settings).ready()
    assert served.stderr().startswith("fidelog: warning: ")
    assert WARNING in served.stderr()
    assert "fidelog keys create" in served.stderr()
    assert served.client().get("/tasks").status_code == 401
    key = new_key(command, **settings)
    http = served.client()
    http.headers.update({"authorization": f"Bearer {key}", "fidelog-purpose": "test"})
    for replayed in (False, True):
        answer = http.post("/clients", json=CLIENT, headers={"idempotency-key": "k"})
        assert (answer.status_code, answer.json()) == (200, CLIENT)
        assert ("idempotency-replayed" in answer.headers) == replayed
        task = http.post("/tasks", json=TASK)
        assert (task.status_code, task.json()) == (201, {"task_id": TASK["task_id"], "status": "pending"})
    assert http.get("/clients/client-001").json() == CLIENT
    types = [event["type"] for event in http.get("/audit/events").json()["events"]]
    assert types == ["ApiKeyIssued", "ClientOnboarded", "TaskCreated", "PersonalDataRead"]
    assert command("demo", "--url", served.url, "--key", key)[0] == 0
    refuse_the_update(any_server, command)
    assert http.get(f"/tasks/{TASK['task_id']}").json()["status"] == "pending"
    assert served.stop() == 0


@pytest.mark.parametrize("there", ["nothing", "roles", "schema"])
def test_serve_does_not_migrate(server: Server, command: Command, there: str) -> None:
    """However little of a migration is there, serve exits 1, names `fidelog migrate` and leaves the database alone."""
    if there != "nothing":
        assert command("migrate", **server.settings())[0] == 0
        server.cluster.execute("DROP SCHEMA fidelog CASCADE", NAME)
    if there == "schema":
        server.cluster.execute("CREATE SCHEMA fidelog AUTHORIZATION fidelog_owner", NAME)
    done = server.folders.run("serve", **server.settings())
    assert (done.returncode, done.stdout) == (1, "")
    assert "fidelog migrate" in refusal(done.stderr)
    with psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT to_regclass('fidelog.migrations')::text").fetchone() == (None,)


def new_key(command: Command, **settings: str) -> str:
    """A key of somebody who may read and write."""
    roles = ("--role", "advisor", "--role", "compliance")
    status, out, _ = command("keys", "create", "--actor", "user:app", *roles, **settings)
    assert status == 0
    return out.strip()


def refuse_the_update(server: Server, command: Command) -> None:
    """Each login's URL takes the login's role, and the article's UPDATE is refused to it."""
    for login in LOGINS:
        status, out, err = command("database-url", "--as", login, **server.settings())
        assert (status, err, out.count("\n")) == (0, "", 1)
        with psycopg.connect(out.strip(), autocommit=True) as connection:
            assert connection.execute("SELECT current_user").fetchone() == (f"fidelog_{login}",)
            connection.execute("SELECT set_config('fidelog.tenant_id', 'default', false)")
            with pytest.raises(psycopg.Error) as error:
                connection.execute(ARTICLES_UPDATE, ("{}", "client-001"))
            assert error.value.sqlstate == ("FL004" if login in {"owner", "writer"} else "42501")


@pytest.mark.parametrize("without", [[], ["owner", "auditor"]], ids=["all", "only-what-serve-needs"])
def test_logins_of_their_own_bring_no_warning(server: Server, command: Command, without: list[str]) -> None:
    """With FIDELOG_WRITER_URL and its like serve needs no shared URL, and warns of none."""
    assert command("migrate", **server.settings())[0] == 0
    logins = [login for login in LOGINS if login not in without]
    embedded = EmbeddedServer(server.folders.data, notice=lambda line: None)
    urls = {f"FIDELOG_{login.upper()}_URL": embedded.conninfo(f"fidelog_{login}", NAME) for login in logins}
    key = new_key(command, **server.settings())
    served = server.folders.serve(**urls).ready()
    http = served.client()
    http.headers.update({"authorization": f"Bearer {key}", "fidelog-purpose": "test"})
    assert http.post("/clients", json=CLIENT).status_code == 200
    assert http.get("/clients/client-001").json() == CLIENT
    assert served.stop() == 0
    assert served.stderr() == ""


def test_serve_refuses_to_start_without_the_keeper(server: Server, command: Command) -> None:
    """Without it nothing would fill the officer's index; the line names the setting that is missing."""
    assert command("migrate", **server.settings())[0] == 0
    embedded = EmbeddedServer(server.folders.data, notice=lambda line: None)
    urls = {
        f"FIDELOG_{login.upper()}_URL": embedded.conninfo(f"fidelog_{login}", NAME) for login in ("writer", "reader")
    }
    done = server.folders.run("serve", **urls)
    assert (done.returncode, done.stdout) == (1, "")
    assert "FIDELOG_KEEPER_URL" in refusal(done.stderr)


def test_without_the_sealer_nothing_is_sealed_and_all_else_goes_on(server: Server, command: Command) -> None:
    """Whoever gave the URLs of the logins there were before is told which one is new."""
    assert command("migrate", **server.settings())[0] == 0
    embedded = EmbeddedServer(server.folders.data, notice=lambda line: None)
    logins = ("owner", "writer", "reader", "keeper", "auditor")
    urls = {f"FIDELOG_{login.upper()}_URL": embedded.conninfo(f"fidelog_{login}", NAME) for login in logins}
    status, key, _ = command(
        "keys", "create", "--actor", "user:ann", "--role", "advisor", **server.folders.settings(), **urls
    )
    assert status == 0
    served = server.folders.serve(**urls).ready()
    http = served.client()
    http.headers["authorization"] = f"Bearer {key.strip()}"
    client = {"client_id": "c1", "full_name": "Amina Patel", "risk_profile": "moderate"}
    assert http.post("/clients", json=client).status_code == 200
    tails = {tail["name"]: tail for tail in http.get("/readyz").json()["tails"]}
    assert "FIDELOG_SEALER_URL" in tails["seal"]["fault"]
    assert "fault" not in tails["audit_index"]
    assert served.stop() == 0
    assert "nothing is sealed: there is no sealer login for this database; set FIDELOG_SEALER_URL" in served.stderr()


def test_replay_on_a_server(any_server: Server, command: Command) -> None:
    """With the one URL it works as on the embedded server; with URLs of single logins it says which is missing."""
    settings = any_server.settings()
    assert command("replay", "--check", **settings)[0] == 2
    assert "fidelog migrate" in refusal(command("replay", **settings)[2])
    assert command("migrate", **settings)[0] == 0
    assert command("replay", "--workers", "1", **settings)[0] == 0
    assert command("replay", "--check", "--workers", "1", **settings)[0] == 0
    status, out, err = command("replay", **any_server.folders.settings(), FIDELOG_READER_URL=any_server.url)
    assert (status, out) == (1, "")
    assert "keeper" in refusal(err)


def test_status_and_superuser_on_a_server(server: Server, command: Command) -> None:
    """status tells that the server is not Fidelog's own; there is no superuser's URL to hand out."""
    assert command("migrate", **server.settings())[0] == 0
    status, out, err = command("status", "--json", **server.settings())
    assert (status, err) == (0, "")
    assert '"kind":"server"' in out
    assert '"data_dir":null' in out
    status, out, err = command("database-url", "--as", "superuser", **server.settings())
    assert (status, out) == (1, "")
    assert "superuser" in refusal(err)


SECRET = "Geheim42"
UNUSABLE = [
    "postgresql://fidelog:Geheim42@127.0.0.1:1/fidelog",
    "postgresql://fidelog:Geheim42@no-such-host.invalid/fidelog",
    "postgresql://fidelog:p@Geheim42@127.0.0.1:1/fidelog",
    "postgresql://fidelog:p@:Geheim42@127.0.0.1:1/fidelog",
    "postgresql://fidelog:p?Geheim42@127.0.0.1:1/fidelog",
    "postgresql://fidelog:100%Geheim42@127.0.0.1:1/fidelog",
    "host=127.0.0.1 port=1 password='Geheim42",
    "fidelog:Geheim42@127.0.0.1",
]


@pytest.mark.parametrize(
    "url", UNUSABLE, ids=["closed", "no-host", "at", "at-colon", "question", "percent", "quote", "no-scheme"]
)
@pytest.mark.parametrize("name", ["migrate", "status"])
def test_a_server_that_cannot_be_reached(server18: Server, command: Command, name: str, url: str) -> None:
    """Exit 1 and one line, no traceback, and whatever is wrong with the URL, no part of its password in it."""
    status, out, err = command(name, **server18.settings(url))
    assert (status, out) == (1, "")
    assert SECRET not in refusal(err)


def test_serve_without_its_server(server18: Server) -> None:
    """serve ends likewise when the server cannot be reached."""
    done = server18.folders.run("serve", **server18.settings(UNUSABLE[0]))
    assert (done.returncode, done.stdout) == (1, "")
    assert SECRET not in refusal(done.stderr)


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_that_is_not_utf8(server18: Server, command: Command, encoding: str) -> None:
    """migrate refuses it with a line that says how to make the right one, and makes nothing in it."""
    server18.create(f"ENCODING '{encoding}' LOCALE 'C'")
    status, out, err = command("migrate", **server18.settings())
    assert (status, out) == (1, "")
    assert "UTF8" in refusal(err)
    with psycopg.connect(server18.url) as connection:
        assert connection.execute("SELECT to_regnamespace('fidelog')::text").fetchone() == (None,)


@pytest.mark.parametrize("change", ["newer", "other text"])
def test_a_database_of_another_version(server: Server, command: Command, change: str) -> None:
    """A migration this version does not know, or knows with another text: migrate, status and serve all refuse."""
    assert command("migrate", **server.settings())[0] == 0
    newer = "INSERT INTO fidelog.migrations (name, sha256) VALUES ('eventstore/9999_newer.sql', repeat('0', 64))"
    other = "UPDATE fidelog.migrations SET sha256 = repeat('0', 64) WHERE name = 'eventstore/0001_log.sql'"
    server.cluster.execute(newer if change == "newer" else other, NAME)
    named = "eventstore/9999_newer.sql" if change == "newer" else "eventstore/0001_log.sql"
    for name in ("migrate", "status"):
        status, out, err = command(name, **server.settings())
        assert (status, out) == (1, "")
        assert named in refusal(err)
    if change == "newer":  # once is enough: a process of its own takes a second
        done = server.folders.run("serve", **server.settings())
        assert (done.returncode, done.stdout) == (1, "")
        assert named in refusal(done.stderr)


def test_an_owner_who_is_no_superuser(server: Server, command: Command) -> None:
    """A role with CREATEROLE that owns the database migrates it and serves from it."""
    server.cluster.execute("CREATE ROLE app LOGIN CREATEROLE")
    server.cluster.execute(f"ALTER DATABASE {NAME} OWNER TO app")
    url = EmbeddedServer(server.folders.data, notice=lambda line: None).conninfo("app", NAME)
    for _ in range(2):
        status, _, err = command("migrate", **server.settings(url))
        assert (status, err) == (0, "")
    served = server.folders.serve(**server.settings(url)).ready()
    key = new_key(command, **server.settings(url))
    answer = served.client().post("/clients", json=CLIENT, headers={"authorization": f"Bearer {key}"})
    assert answer.status_code == 200
    assert served.stop() == 0


@pytest.mark.parametrize("roles", ["missing", "made by another"])
def test_a_role_without_rights(server: Server, command: Command, roles: str) -> None:
    """migrate, serve and status say in one line that this login may not, and what may."""
    server.cluster.execute("CREATE ROLE nobody_much LOGIN")
    if roles == "made by another":
        assert command("migrate", **server.settings())[0] == 0
    url = EmbeddedServer(server.folders.data, notice=lambda line: None).conninfo("nobody_much", NAME)
    for name in ("migrate", "status"):
        status, out, err = command(name, **server.settings(url))
        assert (status, out) == (1, "")
        assert refusal(err)
        assert name != "migrate" or "CREATEROLE" in err


def test_two_migrations_at_once(server: Server) -> None:
    """Both find nothing and go ahead together; both end with 0, as when two deployments start at the same moment."""
    waiting = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted"
    with ThreadPoolExecutor(2) as threads, psycopg.connect(server.url) as holder:
        # Schemas can be looked for, and found missing, but not made.
        holder.execute("LOCK TABLE pg_catalog.pg_namespace IN SHARE MODE")
        migrating = [threads.submit(server.folders.run, "migrate", **server.settings()) for _ in range(2)]
        with psycopg.connect(server.cluster.url("postgres"), autocommit=True) as watching:
            until("both wait", lambda: watching.execute(waiting).fetchone() == (2,))
        holder.rollback()
        done = [running.result() for running in migrating]
    assert [(one.returncode, one.stderr) for one in done] == [(0, ""), (0, "")]
