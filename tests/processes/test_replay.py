"""`fidelog replay` and `fidelog replay --check`: what they print, how they end, and that they can be stopped."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
from collections.abc import Iterator

import psutil  # type: ignore[import-untyped, unused-ignore]
import psycopg
import pytest

from api.database import embedded_database
from eventstore.database import Database
from eventstore.embedded import EmbeddedServer
from eventstore.embedded.processes import wait_until_gone
from tests.processes.conftest import Command, refusal
from tests.processes.fidelog_process import COMMAND, Folders, environment, new_folders
from tests.projections.replay.harness import STORY, TASK, append, damage, heal, onboarded, table, unguarded
from tests.waiting import until

LEVEL = (
    "administration  0 rows, 0 brought level\nagent_tasks  3 rows, {} brought level\naudit_index  0 rows, 0 brought level\n"
    "client_profiles  3 rows, {} brought level\n"
)
EQUAL = "administration  0 rows, equal\nagent_tasks  3 rows, equal\naudit_index  0 rows, equal\nclient_profiles  3 rows, equal\n"
"""No tail has run yet: the index holds nothing, which is right as far as it has got."""
ONE = ("--workers", "1")


@pytest.fixture(scope="module")
def folders(prepared: Folders) -> Iterator[Folders]:
    """A running embedded server whose log holds the story; replay joins it."""
    with new_folders(copied_from=prepared) as copied:
        server = EmbeddedServer(copied.data, notice=lambda line: None)
        server.join()
        append(embedded_database(server), STORY)
        yield copied
        server.leave()


@pytest.fixture
def database(folders: Folders) -> Database:
    """Its database, every row level with the log before the test."""
    server = EmbeddedServer(folders.data, notice=lambda line: None)
    found = embedded_database(server)
    heal(found)
    return found


def test_replay_and_check_say_what_they_did(folders: Folders, database: Database, command: Command) -> None:
    """A line a read model on stdout, nothing on stderr; a name leaves the other read model alone."""
    settings = folders.settings()
    assert command("replay", **settings) == (0, LEVEL.format(0, 0), "")
    assert command("replay", "--check", *ONE, **settings) == (0, EQUAL, "")
    damage(database, "client_profiles", "DELETE FROM fidelog.client_profiles WHERE client_id <> 'c1'")
    damage(database, "agent_tasks", "SET attempt = 9")
    assert command("replay", "client_profiles", *ONE, **settings) == (0, LEVEL.format(0, 2).split("\n")[3] + "\n", "")
    assert command("replay", "--check", "client_profiles", *ONE, **settings)[0] == 0
    assert command("replay", "--check", *ONE, **settings)[0] == 1
    assert command("replay", "agent_tasks", "client_profiles", "agent_tasks", **settings) == (
        0,
        LEVEL.format(3, 0).partition("\n")[2].replace("audit_index  0 rows, 0 brought level\n", ""),
        "",
    )


def damaged(database: Database) -> None:
    """Damage that shows every form a value can have in a line."""
    damage(database, "client_profiles", "SET risk_profile = 'two words' WHERE client_id = 'c1'")
    damage(database, "client_profiles", "SET risk_profile = 'null', version = 7 WHERE client_id = 'c2'")
    damage(database, "client_profiles", "SET updated_at = '2020-01-01 12:00+01', full_name = '{\"a\": [1, \"b c\"]}'"
           " WHERE client_id = 'c3'")  # fmt: skip
    damage(database, "client_profiles", "INSERT INTO fidelog.client_profiles SELECT tenant_id, 'extra', full_name,"
           " risk_profile, created_at, updated_at, 1, 1, 1 FROM fidelog.client_profiles LIMIT 1")  # fmt: skip
    damage(database, "agent_tasks", f"DELETE FROM fidelog.agent_tasks WHERE task_id = '{TASK.format(1)}'")
    damage(database, "agent_tasks", f"SET claimed_by = E'\\x1b', attempt = 5 WHERE task_id = '{TASK.format(3)}'")


def test_differences_are_lines_in_order(folders: Folders, database: Database, command: Command) -> None:
    """table tenant id column live fold, sorted by table, tenant and id; exit 1. A value is one word, or JSON."""
    damaged(database)
    status, out, err = command("replay", "--check", **folders.settings())
    lines = [line.split(" ", 4) for line in out.splitlines()]
    assert (status, err) == (1, "")
    assert all(tenant == "default" for _, tenant, *_ in lines)
    told = [(name, identifier, column, values) for name, _, identifier, column, values in lines]
    with psycopg.connect(database.url("superuser")) as connection:
        query = "SELECT data -> 'full_name', recorded_at FROM fidelog.events WHERE stream = 'client-c3'"
        (name, time) = connection.execute(query).fetchone() or ("", "")
    sealed, instant = json.dumps(name, separators=(",", ":")), f"{time:%Y-%m-%dT%H:%M:%S.%f}Z"
    assert told == [
        ("agent_tasks", TASK.format(1), "row", "absent present"),
        ("agent_tasks", TASK.format(3), "attempt", "5 0"),
        ("agent_tasks", TASK.format(3), "claimed_by", '"\\u001b" null'),
        ("client_profiles", "c1", "risk_profile", '"two words" moderate'),
        ("client_profiles", "c2", "risk_profile", '"null" moderate'),
        ("client_profiles", "c2", "version", "7 1"),
        ("client_profiles", "c3", "full_name", f'{{"a":[1,"b c"]}} {sealed}'),
        ("client_profiles", "c3", "updated_at", f"2020-01-01T11:00:00.000000Z {instant}"),
        ("client_profiles", "extra", "row", "present absent"),
    ]


def test_the_same_as_json(folders: Folders, database: Database, command: Command) -> None:
    """One object in the contract's order; equal or not."""
    status, out, err = command("replay", "--check", "--json", *ONE, **folders.settings())
    rows = {"administration": 0, "agent_tasks": 3, "audit_index": 0, "client_profiles": 3}
    assert (status, err, out.count("\n")) == (0, "", 1)
    assert (
        out
        == json.dumps({"equal": True, "rows": rows, "events": len(STORY), "differences": []}).replace(" ", "") + "\n"
    )
    damaged(database)
    status, out, err = command("replay", "--check", "--json", **folders.settings())
    assert (status, err) == (1, "")
    content = json.loads(out)
    assert list(content) == ["equal", "rows", "events", "differences"]
    assert (content["equal"], content["rows"]["client_profiles"], content["events"]) == (False, 4, len(STORY))
    assert list(content["differences"][0]) == ["table", "tenant_id", "id", "column", "live", "fold"]
    told = [(d["table"], d["id"], d["column"], d["live"]) for d in content["differences"]]
    assert told[0] == ("agent_tasks", TASK.format(1), "row", "absent")
    assert told[2][2:] == ("claimed_by", "\x1b")
    assert told[6][2:] == ("full_name", {"a": [1, "b c"]})
    assert len(told) == 9


@pytest.mark.parametrize(
    "arguments",
    [("client_profile",), ("--json",), ("--workers", "0"), ("--workers", "x"), ("--workers", "65"), ("--chek",)],
)
def test_wrong_usage(command: Command, new: Folders, arguments: tuple[str, ...]) -> None:
    """Exit 64, with and without --check; an unknown read model is answered with those there are. Nothing is made."""
    for check in ((), ("--check",)) if arguments != ("--json",) else ((),):
        status, out, err = command("replay", *check, *arguments, **new.settings())
        assert (status, out) == (64, "")
        assert arguments[0] != "client_profile" or "agent_tasks, audit_index, client_profiles" in err
    assert not new.data.exists()


@pytest.mark.parametrize("check", [False, True])
def test_nothing_to_replay(new: Folders, command: Command, check: bool) -> None:
    """Where there is no database, none is made: exit 1, or 2 for a check, which is not to be taken for a difference."""
    status, out, err = command("replay", *(["--check"] if check else []), **new.settings())
    assert (status, out) == (2 if check else 1, "")
    assert "there is no database" in refusal(err)
    assert not (new.data / "postgres").exists()


@pytest.mark.parametrize("way", ["server", "settings", "port"])
@pytest.mark.parametrize("as_json", [False, True])
def test_a_check_that_cannot_be_done_exits_2(new: Folders, command: Command, way: str, as_json: bool) -> None:
    """Whatever the reason; one line on stderr, nothing on stdout."""
    changes = {
        "server": {"FIDELOG_DATABASE_URL": "postgresql://127.0.0.1:1/x"},
        "settings": {"FIDELOG_STATE_DIR": str(new.data / "s")},
        "port": {"FIDELOG_PORT": "x"},
    }[way]
    status, out, err = command("replay", "--check", *(["--json"] if as_json else []), **{**new.settings(), **changes})
    assert (status, out) == (2, "")
    assert refusal(err)


CHANGES = {
    "unknown": ("UPDATE fidelog.events SET type = 'Teleported' WHERE position = 4", "newer Fidelog"),
    "gap": ("DELETE FROM fidelog.events WHERE position = 11", "no row is made"),
    "position": ("DELETE FROM fidelog.events WHERE position = 10", "of the positions 1 to 11 1 are missing"),
}


@pytest.mark.parametrize("change", ["unknown", "position"])
def test_a_log_that_cannot_be_folded(folders: Folders, database: Database, command: Command, change: str) -> None:
    """An unknown event, a missing position: check exits 2, replay 1, one line says what; no row changes.

    The missing event is a stream's last: the stream folds without it, and must not be taken for the truth.
    """
    statement, words = CHANGES[change]
    damage(database, "client_profiles", "SET risk_profile = 'zz' WHERE client_id = 'c3'")
    before = table(database, "client_profiles"), table(database, "agent_tasks")
    with psycopg.connect(database.url("superuser")) as connection:
        connection.execute("CREATE TABLE public.kept AS TABLE fidelog.events")
    with unguarded(database, "events") as connection:
        connection.execute(statement.encode())
    try:
        for arguments, wanted in ((("--check",), 2), (("--check", "--json"), 2), ((), 1)):
            status, out, err = command("replay", *arguments, **folders.settings())
            assert (status, words in refusal(err)) == (wanted, True), err
            assert out == "" or arguments == ("--check",)
        assert (table(database, "client_profiles"), table(database, "agent_tasks")) == before
    finally:
        with unguarded(database, "events") as connection:
            connection.execute("DELETE FROM fidelog.events")
            connection.execute("INSERT INTO fidelog.events SELECT * FROM public.kept")
            connection.execute("DROP TABLE public.kept")


def test_a_fault_of_ours_is_no_difference(folders: Folders, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception that nobody foresaw would end Python with 1: a check says 2."""

    def fail(self: object, observer: object) -> None:
        raise ZeroDivisionError("nobody foresaw it")

    monkeypatch.setattr("projections.replay.running.Replay.run", fail)
    status, out, err = command("replay", "--check", **folders.settings())
    assert (status, out) == (2, "")
    assert "nobody foresaw it" in refusal(err)


def test_progress_is_shown_on_a_terminal_only(folders: Folders, database: Database) -> None:
    """A bar on stderr where that is a terminal; stdout stays as it is. Elsewhere nothing is on stderr."""
    ours, theirs = pty.openpty()
    try:
        done = subprocess.run(
            [*COMMAND, "replay", "agent_tasks", "client_profiles", *ONE],
            env=environment(**folders.settings(), TERM="xterm"), cwd=folders.outer,
            stdout=subprocess.PIPE, stderr=theirs, text=True, timeout=30,
        )  # fmt: skip
        shown = _all_shown(ours)
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.returncode == 0
    assert f"{len(STORY)}/{len(STORY)}" in shown
    assert "\x1b[" in shown
    assert folders.run("replay", *ONE).stderr == ""


def _all_shown(terminal: int) -> str:
    """All that was written to a terminal whose writers ended: one read gives some thousand bytes of it."""
    parts = []
    while select.select([terminal], [], [], 0.2)[0]:
        parts.append(os.read(terminal, 1 << 16))
    return b"".join(parts).decode()


def test_an_embedded_server_is_started_and_stopped(prepared: Folders, command: Command) -> None:
    """Where none runs; and where `fidelog serve` runs, it goes on."""
    with new_folders(copied_from=prepared) as folders:
        done = folders.run("replay")
        assert (done.returncode, done.stdout) == (0, LEVEL.format(0, 0).replace("3 rows", "0 rows"))
        assert folders.postgres() == []
        served = folders.serve().ready()
        body = {"client_id": "c1", "full_name": "Amina Patel", "risk_profile": "moderate"}
        assert served.client().post("/clients", json=body).status_code == 200
        assert command("replay", "--check", **folders.settings())[0] == 0
        assert served.client().get("/clients/c1").json() == body
        assert served.stop() == 0


# Stopped in the middle ------------------------------------------------------------------------------------------


@pytest.fixture
def stuck(database: Database) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """Rows are missing in two tenants, and the second tenant's lock is held: replay does the first and then waits."""
    with psycopg.connect(database.url("superuser"), autocommit=True) as connection:
        connection.execute("INSERT INTO fidelog.logs (tenant_id) VALUES ('stuck') ON CONFLICT DO NOTHING")
        if connection.execute("SELECT 1 FROM fidelog.events WHERE tenant_id = 'stuck'").fetchone() is None:
            append(database, [onboarded("s1"), onboarded("s2")], "stuck")
    damage(database, "client_profiles", "DELETE FROM fidelog.client_profiles")
    with psycopg.connect(database.url("superuser")) as holder:
        holder.execute("SELECT 1 FROM fidelog.logs WHERE tenant_id = 'stuck' FOR UPDATE")
        yield holder
        holder.rollback()
        with unguarded(database, "client_profiles", "events") as connection:
            connection.execute("DELETE FROM fidelog.client_profiles WHERE tenant_id = 'stuck'")
            connection.execute("DELETE FROM fidelog.events WHERE tenant_id = 'stuck'")


def waiting(folders: Folders, database: Database) -> tuple[subprocess.Popen[str], list[psutil.Process]]:
    """A replay that waits for the lock, and all processes of it."""
    running = subprocess.Popen(
        [*COMMAND, "replay"], env=environment(**folders.settings()), cwd=folders.outer,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    query = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'fidelog_keeper' AND wait_event_type = 'Lock'"
    with psycopg.connect(database.url("superuser"), autocommit=True) as connection:
        until("replay at the lock", lambda: connection.execute(query).fetchone() == (1,))
    return running, psutil.Process(running.pid).children(recursive=True)


@pytest.mark.parametrize(
    ("number", "to_all"),
    [(signal.SIGINT, True), (signal.SIGTERM, False)],
    ids=["as a terminal sends it", "to the command"],
)
def test_a_signal_cancels(
    folders: Folders,
    database: Database,
    stuck: psycopg.Connection[object],
    command: Command,
    number: signal.Signals,
    to_all: bool,
) -> None:
    """Exit 130 and one line; no process is left; rows are as they were or right, and running it again finishes."""
    running, processes = waiting(folders, database)
    assert len(processes) >= 2
    if to_all:
        os.killpg(running.pid, number)
    else:
        running.send_signal(number)
    out, err = running.communicate(timeout=10)
    assert (running.returncode, out) == (130, "")
    assert refusal(err).startswith("cancelled after ")
    assert wait_until_gone(processes, 1) == []
    assert [row for (row,) in table(database, "client_profiles")] != []
    assert all(row.startswith("(default,") for (row,) in table(database, "client_profiles"))
    stuck.rollback()
    assert command("replay", *ONE, **folders.settings())[0] == 0
    assert len(table(database, "client_profiles")) == 5
    assert command("replay", "--check", *ONE, **folders.settings())[0] == 0


def test_workers_end_when_nobody_is_left_to_tell(
    folders: Folders, database: Database, stuck: psycopg.Connection[object], command: Command
) -> None:
    """kill -9 of the command leaves no worker behind, and nothing half done."""
    running, processes = waiting(folders, database)
    running.kill()
    running.communicate()
    assert wait_until_gone(processes, 10) == []
    stuck.rollback()
    assert command("replay", *ONE, **folders.settings())[0] == 0


def test_a_worker_that_dies_ends_the_replay(
    folders: Folders, database: Database, stuck: psycopg.Connection[object]
) -> None:
    """Exit 1 and a line that says so; the other processes end too."""
    running, processes = waiting(folders, database)
    for process in processes:
        process.kill()
    out, err = running.communicate(timeout=10)
    assert (running.returncode, out) == (1, "")
    assert "a worker process ended (exit status -9)" in refusal(err)
