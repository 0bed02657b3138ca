"""Joining, sharing, leaving."""

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil  # type: ignore[import-untyped, unused-ignore]
import psycopg
import pytest

from eventstore.embedded import EmbeddedServer, EmbeddedServerError
from eventstore.embedded.cluster import Cluster
from eventstore.embedded.processes import processes_in
from tests.waiting import until

from .conftest import JoiningProcess, postmaster_pid, query

MakeServer = Callable[..., EmbeddedServer]
MakeProcess = Callable[..., JoiningProcess]
pytestmark = pytest.mark.usefixtures("existing_cluster")


def test_last_user_stops_the_server(data_dir: Path, make_process: MakeProcess, make_server: MakeServer) -> None:
    """With two joined processes the server survives the first one leaving and ends with the second."""
    observer = make_server()
    first, second = make_process(), make_process()
    first.begin("join")
    second.begin("join")
    assert first.outcome() == second.outcome() == {"value": None}
    pid = postmaster_pid(data_dir)
    first.call("leave")
    assert observer.is_running()
    assert second.call("query", "select 7") == 7
    second.call("leave")
    assert not observer.is_running()
    until("the postmaster was reaped", lambda: not psutil.pid_exists(pid))


def test_two_objects_of_one_process_count_twice(make_server: MakeServer) -> None:
    """Two server objects in one process are two users; leaving and joining repeatedly does no harm."""
    first, second = make_server(), make_server()
    first.join()
    first.join()
    second.join()
    first.leave()
    first.leave()
    assert second.is_running()
    second.leave()
    assert not second.is_running()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_forked_child_is_no_user(make_server: MakeServer) -> None:
    """A child made by fork() neither keeps the server alive nor stops it for its parent."""
    server = make_server()
    server.join()
    hold_reader, hold_writer = os.pipe()
    done_reader, done_writer = os.pipe()
    child = os.fork()
    if child == 0:
        server.leave()
        os.write(done_writer, b"x")
        os.close(hold_writer)
        os.read(hold_reader, 1)
        os._exit(0)
    assert os.read(done_reader, 1) == b"x"
    assert server.is_running()
    server.leave()
    assert not server.is_running()
    for descriptor in (hold_reader, hold_writer, done_reader, done_writer):
        os.close(descriptor)
    os.waitpid(child, 0)


def test_server_is_private_and_detached(data_dir: Path, make_server: MakeServer) -> None:
    """Folders have mode 0700, no TCP port is open, and the postmaster has its own session and none of our files."""
    server = make_server()
    server.join()
    postmaster = psutil.Process(postmaster_pid(data_dir))
    assert stat.S_IMODE(server.pg_data.stat().st_mode) == 0o700
    assert stat.S_IMODE((server.pg_data / ".s.PGSQL.5432").stat().st_mode) == 0o700
    for process in (postmaster, *postmaster.children()):
        with suppress(psutil.NoSuchProcess):  # a worker may end meanwhile
            assert process.net_connections(kind="inet") == []
    assert os.getsid(postmaster.pid) == postmaster.pid
    assert not [file.path for file in postmaster.open_files() if file.path.endswith(".lock")]
    rules = [line for line in (server.pg_data / "pg_hba.conf").read_text().splitlines() if line]
    assert rules
    assert all(rule.startswith("local ") for rule in rules)


def test_settings_are_durable_and_can_be_overridden(data_dir: Path, make_server: MakeServer) -> None:
    """The server runs durably with checksums, given settings win, and boundary settings are refused."""
    server = make_server(settings={"Work_Mem": "12MB", "TimeZone": "Europe/Zurich"})
    server.join()
    names = ("fsync", "synchronous_commit", "full_page_writes", "data_checksums", "jit", "work_mem", "timezone")
    values = [query(server, f"show {name}")[0][0] for name in names]
    assert values == ["on", "on", "on", "on", "off", "12MB", "Europe/Zurich"]
    for name in ("listen_addresses", "x y"):
        with pytest.raises(EmbeddedServerError, match=name):
            EmbeddedServer(data_dir, settings={name: "*"})


def test_log_holds_no_statement_texts(data_dir: Path, make_server: MakeServer) -> None:
    """Failing statements leave neither their text nor the values of conflicting rows in the log."""
    server = make_server()
    server.join()
    query(server, "create table t (x text primary key)")
    query(server, "insert into t values ('secret-value')")
    failing = "do $$ begin insert into t values ('secret-value'); end $$"
    with pytest.raises(psycopg.errors.UniqueViolation):
        query(server, failing)
    log = (data_dir / "postgres.log").read_text()
    assert "duplicate key" in log
    assert "secret-value" not in log
    assert "insert into" not in log


def test_server_without_free_slots_counts_as_running(make_server: MakeServer) -> None:
    """A server whose connection slots are all taken is running, not dead."""
    server = make_server(
        settings={"max_connections": "3", "superuser_reserved_connections": "0", "reserved_connections": "0"}
    )
    server.join()
    connections = [psycopg.connect(server.conninfo("postgres", "postgres")) for _ in range(3)]
    assert server.is_running()
    assert server.ensure_running() is False
    for connection in connections:
        connection.close()


def test_large_log_is_rotated_at_start(data_dir: Path, make_server: MakeServer) -> None:
    """A log file over 10 MB is set aside once when the server starts."""
    (data_dir / "postgres.log").write_bytes(b"old\n" * 3 * 1024 * 1024)
    make_server().join()
    assert (data_dir / "postgres.log.1").stat().st_size > 10 * 1024 * 1024
    assert (data_dir / "postgres.log").stat().st_size < 100_000


def test_a_start_given_up_before_there_is_a_pid_file_leaves_nothing(
    data_dir: Path, make_server: MakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A postmaster writes its pid file some time after it was launched; it is stopped also when nobody can read of it yet."""
    server = make_server()

    def gives_up(*_: object) -> bool:
        server.give_up()
        raise EmbeddedServerError("given up", "try again")

    monkeypatch.setattr(Cluster, "_wait_for", gives_up)
    with pytest.raises(EmbeddedServerError):
        server.join()
    assert processes_in(data_dir / "postgres") == []
