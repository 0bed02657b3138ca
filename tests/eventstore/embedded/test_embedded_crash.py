"""Killed processes of every kind."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil  # type: ignore[import-untyped, unused-ignore]
import psycopg
import pytest

from eventstore.embedded import EmbeddedServer, EmbeddedServerError, cluster, processes, waiting
from eventstore.embedded.locks import FileLock

from .conftest import JoiningProcess, postgres_processes, postmaster_pid, query

MakeServer = Callable[..., EmbeddedServer]
MakeProcess = Callable[..., JoiningProcess]
pytestmark = pytest.mark.usefixtures("existing_cluster")


def kill_postmaster(data_dir: Path) -> None:
    """Kill the postmaster with SIGKILL and wait until nothing but a zombie of it is left."""
    postmaster = psutil.Process(postmaster_pid(data_dir))
    postmaster.kill()
    assert processes.wait_until_gone([postmaster], 5) == []


def test_killed_user_leaves_a_usable_server(data_dir: Path, make_process: MakeProcess, make_server: MakeServer) -> None:
    """After kill -9 of the only joined process the next one joins the same server and, as the last, stops it."""
    joined = make_process()
    joined.call("join")
    joined.call("query", "create table kept as select 42 as answer")
    joined.kill()
    server = make_server()
    assert server.is_running()
    pid = postmaster_pid(data_dir)
    server.join()
    assert postmaster_pid(data_dir) == pid
    assert query(server, "select answer from kept") == [(42,)]
    server.leave()
    assert not server.is_running()


def test_exactly_one_process_restarts_a_killed_postmaster(
    data_dir: Path, make_process: MakeProcess, make_server: MakeServer
) -> None:
    """When two processes notice the same dead postmaster one of them restarts it and no data is lost."""
    first, second = make_process(), make_process()
    first.call("join")
    second.call("join")
    first.call("query", "create table kept as select 42 as answer")
    assert first.call("ensure_running") is False
    kill_postmaster(data_dir)
    barrier = FileLock(data_dir / "control.lock")
    assert barrier.try_acquire()
    first.begin("ensure_running")
    second.begin("ensure_running")
    barrier.release()
    assert sorted([first.outcome()["value"], second.outcome()["value"]]) == [False, True]
    assert second.call("query", "select answer from kept") == 42


def test_everything_killed(data_dir: Path, make_process: MakeProcess, make_server: MakeServer) -> None:
    """After kill -9 of the joined process and of every postgres process the next join finds all data."""
    joined = make_process()
    joined.call("join")
    joined.call("query", "create table kept as select 42 as answer")
    joined.kill()
    for process in postgres_processes(data_dir):
        process.kill()
    server = make_server()
    server.join()
    assert query(server, "select answer from kept") == [(42,)]


def test_zombie_postmaster(data_dir: Path, make_process: MakeProcess) -> None:
    """A dead postmaster whose stopped parent cannot reap it does not block the restart by another process."""
    parent, other = make_process(), make_process()
    parent.call("join")
    other.call("join")
    zombie = psutil.Process(postmaster_pid(data_dir))
    assert zombie.ppid() == parent.process.pid
    parent.process.send_signal(signal.SIGSTOP)
    # Returns once every thread of it has stopped.
    assert os.WIFSTOPPED(os.waitpid(parent.process.pid, os.WUNTRACED)[1])
    kill_postmaster(data_dir)
    assert zombie.status() == psutil.STATUS_ZOMBIE
    assert other.call("ensure_running") is True
    assert f"process {zombie.pid} is not its PostgreSQL server" in other.read_notices()


def test_stale_pid_file_naming_an_unrelated_process(data_dir: Path, make_server: MakeServer) -> None:
    """Lock files whose pid now belongs to another process of the same user are removed, and that process lives on."""
    server = make_server()
    server.join()
    owner = server.pg_data.stat()
    pid_file, socket_lock = server.pg_data / "postmaster.pid", server.pg_data / ".s.PGSQL.5432.lock"
    pid_text, lock_text = pid_file.read_text(), socket_lock.read_text()
    server.leave()
    switch = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    unrelated = subprocess.Popen(["sleep", "60"], **switch)  # type: ignore[call-overload]
    try:
        for file, text in ((pid_file, pid_text), (socket_lock, lock_text)):
            file.write_text(text.replace(text.split("\n")[0], str(unrelated.pid), 1))
            file.chmod(0o600)
            if os.geteuid() == 0:
                os.chown(file, owner.st_uid, owner.st_gid)
        assert not server.is_running()
        server.join()
        assert postmaster_pid(data_dir) != unrelated.pid
        assert unrelated.poll() is None
    finally:
        unrelated.kill()
        unrelated.wait()


def test_torn_pid_file(make_server: MakeServer) -> None:
    """An empty pid file, as a power failure can leave it, does not block the start."""
    server = make_server()
    server.join()
    server.leave()
    (server.pg_data / "postmaster.pid").touch(0o600)
    server.join()
    assert server.is_running()


def test_orphan_backend_is_killed(data_dir: Path, make_server: MakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend that outlives its postmaster is ended before a new postmaster starts on the same files."""
    monkeypatch.setattr(processes, "ORPHAN_PATIENCE", 0.2)
    notices: list[str] = []
    server = make_server(notice=notices.append)
    server.join()
    with psycopg.connect(server.conninfo("postgres", "postgres")) as connection:
        backend = psutil.Process(connection.info.backend_pid)
        backend.suspend()
        kill_postmaster(data_dir)
        assert server.ensure_running() is True
        assert not processes.is_alive(backend)
        connection.close()
    assert any(f"killing process {backend.pid}" in line for line in notices)


def test_stopped_postmaster_gives_an_error_in_time(
    data_dir: Path, make_server: MakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A postmaster that hangs leads to progress lines and an error after the timeout, to no second server or hang."""
    monkeypatch.setattr(cluster, "PROBE_SECONDS", 0.2)
    monkeypatch.setattr(waiting, "PROGRESS_EVERY", 0.6)
    notices: list[str] = []
    joined, late = make_server(), make_server(notice=notices.append)
    joined.join()
    postmaster = psutil.Process(postmaster_pid(data_dir))
    postmaster.suspend()
    try:
        begin = time.monotonic()
        with pytest.raises(EmbeddedServerError, match=rf"after 1 s \(process {postmaster.pid}: .*; try again"):
            late.join(timeout=1.0)
        assert time.monotonic() - begin < 2.0
        assert not joined.is_running()
    finally:
        postmaster.resume()
    assert notices == ["waiting for PostgreSQL to become ready (crash recovery may take a while), 0 s"]
    assert joined.ensure_running() is False
    joined.leave()
    assert not processes.is_alive(postmaster)


def test_failing_start_shows_the_log(make_server: MakeServer) -> None:
    """A postmaster that ends during its start gives an error with the last lines of its log."""
    with pytest.raises(
        EmbeddedServerError, match=r"ended during its start.*shared_buffers.*the whole log is"
    ) as caught:
        make_server(settings={"shared_buffers": "nonsense"}).join()
    assert "\n" not in str(caught.value)
