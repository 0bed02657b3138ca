"""The other commands: help, usage, status, database-url, migrate, demo; what they print, and where."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from api import __version__
from api.database import known_migrations
from eventstore.database import LOGINS
from eventstore.embedded.processes import processes_in
from tests.clusters import CLEAR_NAMES
from tests.processes.conftest import Command, refusal
from tests.processes.fidelog_process import COMMAND, FidelogProcess, Folders, environment, new_folders
from tests.waiting import until

COMMANDS = ("serve", "demo", "migrate", "status", "replay", "export", "verify", "database-url")
BODY = {"client_id": "client-001", "full_name": CLEAR_NAMES[0], "risk_profile": "moderate"}
Served = tuple[Folders, FidelogProcess]


@pytest.fixture(scope="module")
def served(prepared: Folders) -> Iterator[Served]:
    """A running server whose log holds one event."""
    with new_folders(copied_from=prepared) as folders:
        process = folders.serve().ready()
        assert process.client().post("/clients", json=BODY).status_code == 200
        yield folders, process


@pytest.mark.parametrize("arguments", [(), *((name,) for name in COMMANDS)], ids=["fidelog", *COMMANDS])
def test_help_explains(command: Command, arguments: tuple[str, ...]) -> None:
    """--help exits 0 and explains on stdout: every command, every option and every setting."""
    status, out, err = command(*arguments, "--help")
    assert (status, err) == (0, "")
    assert out.startswith(" ".join(["usage: fidelog", *arguments]))
    words = (
        ("--data-dir", "--state-dir") if arguments else (*COMMANDS, "FIDELOG_PORT", "FIDELOG_HOST", "FIDELOG_DATA_DIR")
    )
    assert all(word in out for word in words), out


def test_the_version_is_told(command: Command) -> None:
    """--version prints the package's version."""
    assert command("--version") == (0, f"fidelog {__version__}\n", "")


@pytest.mark.parametrize(
    "arguments",
    [(), ("srve",), ("serve", "--prt", "1"), ("serve", "extra"), ("serve", "--port"), ("database-url", "--as", "root")],
)
def test_a_usage_error_exits_64(command: Command, arguments: tuple[str, ...]) -> None:
    """No command, an unknown one, an unknown option or value: exit 64, on stderr what is wrong, nothing on stdout."""
    status, out, err = command(*arguments)
    assert (status, out) == (64, "")
    assert err.splitlines()[-1].startswith("fidelog: ")
    assert "--help" in err


def test_status_as_json(served: Served, command: Command) -> None:
    """One JSON object with the contract's members, in its order, and what the server itself tells."""
    folders, process = served
    status, out, err = command("status", "--json", **folders.settings())
    assert (status, err) == (0, "")
    assert out.count("\n") == 1
    content = json.loads(out)
    http = process.client()
    events = http.get("/audit/events").json()["events"]
    names = [migration.name for migration in known_migrations()]
    with psycopg.connect(folders.superuser_url()) as connection:
        version = str(connection.execute("SHOW server_version").fetchone()[0])  # type: ignore[index]  # one row
        sizes = connection.execute("SELECT pg_total_relation_size('fidelog.events')").fetchone()
    assert list(content) == ["version", "database", "migrations", "tenants", "sizes"]
    assert content["version"] == __version__
    assert content["database"] == {"kind": "embedded", "server_version": version, "data_dir": str(folders.data)}
    assert content["migrations"] == {"applied": names, "pending": []}
    (tenant,) = content["tenants"]
    assert list(tenant) == ["tenant_id", "head", "recorded_at", "tails", "sealed_at", "witnessed_at", "erasures"]
    assert (tenant["tenant_id"], tenant["head"]) == ("default", len(events))
    assert tenant["recorded_at"] == events[-1]["recorded_at"]
    assert all(list(tail) == ["name", "position", "lag"] for tail in tenant["tails"])
    assert list(content["sizes"]) == ["events_bytes", "total_bytes"]
    assert (content["sizes"]["events_bytes"],) == sizes
    assert content["sizes"]["total_bytes"] > content["sizes"]["events_bytes"]


def test_status_for_people(served: Served, command: Command) -> None:
    """Without --json the same is told in lines a person reads, without escape sequences when it is no terminal."""
    folders, _ = served
    status, out, err = command("status", **folders.settings())
    assert (status, err) == (0, "")
    assert "\x1b" not in out
    for words in (__version__, "embedded", "PostgreSQL 18", str(folders.data), "0 pending", "default"):
        assert words in out, out


@pytest.mark.parametrize("login", [None, *LOGINS, "superuser"])
def test_database_url(served: Served, command: Command, login: str | None) -> None:
    """One line, a libpq URL that connects as the login it names, the reader by default; our schema is found first."""
    folders, _ = served
    status, out, err = command("database-url", *(("--as", login) if login else ()), **folders.settings())
    assert (status, err) == (0, "")
    assert out.count("\n") == 1
    assert out.startswith("postgresql://")
    with psycopg.connect(out.strip()) as connection:
        row = connection.execute(
            "SELECT current_user, session_user, current_schemas(false), current_database()"
        ).fetchone()
    user = "postgres" if login == "superuser" else f"fidelog_{login or 'reader'}"
    assert row == (user, user, ["pg_catalog", "fidelog"], "fidelog")


@pytest.mark.parametrize("arguments", [("status",), ("status", "--json"), ("database-url",)])
@pytest.mark.parametrize("there", [False, True], ids=["no-folder", "stopped"])
def test_nothing_runs(
    new: Folders, prepared: Folders, command: Command, arguments: tuple[str, ...], there: bool
) -> None:
    """Exit 1 and one line that tells how to start it; nothing is started or made."""
    folders = prepared if there else new
    status, out, err = command(*arguments, **folders.settings())
    assert (status, out) == (1, "")
    assert "fidelog serve" in refusal(err)
    assert folders.data.exists() == there
    assert folders.postgres() == []


def test_migrate_of_embedded_folders(new: Folders, served: Served) -> None:
    """It makes and migrates a missing folder and stops PostgreSQL again; beside a running server it changes nothing."""
    done = new.run("migrate")
    assert (done.returncode, new.postgres()) == (0, [])
    assert f"up to date: {len(known_migrations())} migrations" in done.stdout
    assert all(line.startswith("fidelog: ") for line in done.stderr.splitlines())
    folders, process = served
    postmaster = folders.postmaster()
    again = folders.run("migrate")
    assert (again.returncode, again.stderr) == (0, "")
    assert folders.postmaster() == postmaster
    assert process.client().get("/readyz").status_code == 200


def left_by_demo(folder: Path) -> list[object]:
    """Folders and PostgreSQL processes below a demo's TMPDIR."""
    folders: list[object] = list(folder.iterdir())
    return folders + [p for below in folder.glob("*/data/postgres") for p in processes_in(below)]


def test_demo_on_its_own_server(new: Folders) -> None:
    """Exit 0, the refused UPDATE is shown, and neither a process nor a folder is left behind."""
    temporary = new.outer / "t"
    temporary.mkdir(mode=0o711)
    done = new.run("demo", TMPDIR=str(temporary), FIDELOG_PORT="1", FIDELOG_DATABASE_URL="postgresql://127.0.0.1:1/x")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "UPDATE agent_tasks" in done.stdout
    assert "permission denied for table agent_tasks" in done.stdout
    assert "steps behaved" in done.stdout
    assert left_by_demo(temporary) == []
    assert not new.data.exists()


def test_ctrl_c_in_a_demo_leaves_nothing(new: Folders) -> None:
    """SIGINT to the whole process group, as a terminal sends it: PostgreSQL is stopped and the folder removed."""
    temporary = new.data.parent / "t"
    temporary.mkdir(mode=0o711)
    variables = environment(TMPDIR=str(temporary))
    demo = subprocess.Popen(
        [*COMMAND, "demo"], env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    pids: list[Path] = []
    try:
        pids = until("the demo's PostgreSQL", lambda: list(temporary.glob("*/data/postgres/postmaster.pid")))
        (postmaster,) = until("its process", lambda: [p for p in processes_in(pids[0].parent) if p.ppid() != p.pid][:1])
        os.killpg(demo.pid, signal.SIGINT)
        assert demo.wait(30) in (0, 1, 130)  # 0: on a fast machine the story may be over by then
        gone = not postmaster.is_running()
        if not gone:
            postmaster.kill()
        assert gone, "PostgreSQL was left behind"
        assert left_by_demo(temporary) == []
    finally:
        if demo.poll() is None:
            os.killpg(demo.pid, signal.SIGKILL)
            demo.wait()


def test_demo_against_a_running_server(served: Served, command: Command) -> None:
    """Exit 0 against a server, also when another worker's tasks are waiting there; it leaves those alone."""
    _, process = served
    task = {"task_id": "550e8400-e29b-41d4-a716-446655440000", "agent_name": "rebalancing_agent", "payload": {}}
    http = process.client()
    assert http.post("/tasks", json={**task, "client_id": "client-001"}).status_code == 201
    status, out, err = command("demo", "--url", process.url)
    assert (status, err) == (0, ""), out
    assert "steps behaved" in out
    assert http.get(f"/tasks/{task['task_id']}").json()["status"] == "pending"


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "127.0.0.1:1", "http://[::1", "http://127.0.0.1:99999"])
def test_demo_against_nothing(command: Command, url: str) -> None:
    """Exit 1 and a line that says why, no traceback, when no server answers or the URL is none."""
    status, out, err = command("demo", "--url", url)
    assert (status, err) == (1, "")
    assert out.splitlines()[-1].startswith("The demo failed: ")
