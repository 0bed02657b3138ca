"""Making the cluster folder."""

import stat
from collections.abc import Callable
from pathlib import Path

import psutil  # type: ignore[import-untyped, unused-ignore]
import pytest

from eventstore.embedded import EmbeddedServer, EmbeddedServerError, processes
from tests.waiting import until

from .conftest import JoiningProcess, postgres_processes, query

MakeServer = Callable[..., EmbeddedServer]
MakeProcess = Callable[..., JoiningProcess]


def running_initdb(data_dir: Path) -> psutil.Process:
    """Wait for initdb to run and return its process."""
    found: list[psutil.Process] = until(
        "initdb runs", lambda: [p for p in postgres_processes(data_dir) if is_initdb(p)]
    )
    return found[0]


def is_initdb(process: psutil.Process) -> bool:
    """Not one of those it starts, which may have ended by now."""
    try:
        return bool(process.name() == "initdb")
    except psutil.NoSuchProcess:
        return False


def test_second_start_keeps_data(make_server: MakeServer) -> None:
    """What was committed before the last user left is there after the next start."""
    server = make_server()
    assert not server.is_running()
    server.join()
    assert server.is_running()
    query(server, "create table kept as select 42 as answer")
    server.leave()
    assert not server.is_running()
    server.join()
    assert query(server, "select answer from kept") == [(42,)]


def test_older_major_version(make_server: MakeServer) -> None:
    """PostgreSQL 16 can be chosen, and its cluster is refused by 18 even while it runs."""
    server = make_server(major=16)
    server.join()
    assert query(server, "show server_version")[0][0].startswith("16.")
    for _ in ("running", "stopped"):
        with pytest.raises(EmbeddedServerError, match="by PostgreSQL 16, but PostgreSQL 18 is wanted; use major=16"):
            make_server().join()
        server.leave()


def test_user_killed_in_the_middle_of_initdb(
    data_dir: Path, make_process: MakeProcess, make_server: MakeServer
) -> None:
    """After kill -9 of the creating process the half-made cluster and its initdb are removed by the next join."""
    creator = make_process()
    creator.begin("join")
    initdb = running_initdb(data_dir)
    half_made = Path(initdb.cwd())
    until("initdb has begun", (half_made / "global").exists)
    initdb.suspend()
    creator.kill()
    assert half_made.exists()
    assert not (data_dir / "postgres").exists()
    server = make_server()
    server.join()
    assert server.is_running()
    assert not half_made.exists()
    assert not processes.is_alive(initdb)


def test_killed_initdb_is_reported_and_can_be_repeated(data_dir: Path, make_process: MakeProcess) -> None:
    """Killing initdb gives an error that says so, and the next join succeeds."""
    creator = make_process()
    creator.begin("join")
    initdb = running_initdb(data_dir)
    initdb.suspend()
    initdb.kill()
    assert "initdb failed (exit code -9)" in creator.outcome()["error"]
    creator.call("join")
    assert creator.call("query", "select 7") == 7


def test_initdb_timeout(data_dir: Path, make_process: MakeProcess) -> None:
    """An initdb that hangs is ended when the time is over and leaves nothing behind."""
    creator = make_process()
    creator.begin("join", 1.5)
    initdb = running_initdb(data_dir)
    initdb.suspend()
    assert "initdb did not finish within 1.5 s" in creator.outcome()["error"]
    assert not processes.is_alive(initdb)
    assert sorted(path.name for path in data_dir.iterdir()) == ["control.lock", "users.lock"]


def test_empty_folder_becomes_a_cluster(data_dir: Path, make_server: MakeServer) -> None:
    """An empty folder in the cluster's place is used."""
    (data_dir / "postgres").mkdir(parents=True, mode=0o755)
    server = make_server()
    server.join()
    assert stat.S_IMODE(server.pg_data.stat().st_mode) == 0o700


def test_folder_that_is_no_cluster(data_dir: Path, make_server: MakeServer) -> None:
    """A non-empty folder that is no cluster is refused and left alone."""
    (data_dir / "postgres").mkdir(parents=True)
    note = data_dir / "postgres" / "note.txt"
    note.write_text("mine")
    with pytest.raises(EmbeddedServerError, match=r"not empty and not a PostgreSQL cluster.*; use another data folder"):
        make_server().join()
    assert note.read_text() == "mine"
