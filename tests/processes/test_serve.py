"""`fidelog serve`: the ready line, the stop, the drain, and starts that are refused."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from eventstore.embedded.locks import FileLock
from tests.clusters import CLEAR_NAMES
from tests.processes.fidelog_process import (
    FidelogProcess,
    Folders,
    new_folders,
    tenant_locked,
    until_waiting,
)
from tests.waiting import LIMIT, until

CLIENT = {"client_id": "client-001", "full_name": CLEAR_NAMES[0], "risk_profile": "moderate"}


def refuses_connections(port: int) -> bool:
    """Whether nothing listens on the port any more."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def unavailable(answer: httpx.Response) -> bool:
    """Whether it is the problem `database-unavailable`, with a time to come back."""
    problem: dict[str, Any] = answer.json()
    return (
        (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
        and problem["type"] == "urn:fidelog:problem:database-unavailable"
        and int(answer.headers["retry-after"]) > 0
    )


@dataclass
class Stalled:
    """A server that got SIGTERM while a request of which the rest never comes was under way."""

    folders: Folders
    served: FidelogProcess
    ended: Future[tuple[int, float]]
    """Exit status, and seconds since the signal."""


@pytest.fixture(scope="module", autouse=True)
def stalled(prepared: Folders) -> Iterator[Stalled]:
    """Begun before the module's first test and looked at after its last: ten seconds pass meanwhile."""

    def stop(served: FidelogProcess) -> tuple[int, float]:
        begun = time.monotonic()
        return served.stop(), time.monotonic() - begun

    with new_folders(copied_from=prepared) as folders, ThreadPoolExecutor(1) as threads:
        served = folders.serve().ready()
        with socket.create_connection(("127.0.0.1", served.bound_port())) as connection:
            head = "POST /clients HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9"
            connection.sendall(f"{head}\r\n\r\n{{".encode())
            assert served.client().get("/livez").status_code == 200
            yield Stalled(folders, served, threads.submit(stop, served))


def until_alive(served: FidelogProcess) -> int:
    """Wait until a process that need not be ready answers; its port."""
    port = served.bound_port()
    http = served.client(f"http://127.0.0.1:{port}")
    assert http.get("/livez").status_code == 200
    return port


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ready_line_then_a_clean_stop(folders: Folders, number: signal.Signals) -> None:
    """The only line of stdout tells that it is ready, /readyz agrees; a signal ends it with 0 and PostgreSQL too."""
    served = folders.serve().ready()
    http = served.client()
    assert http.get("/readyz").status_code == 200
    assert http.get("/livez").status_code == 200
    port = served.bound_port()
    assert served.stop(number) == 0
    assert served.stdout() == f"Fidelog is ready at http://127.0.0.1:{port}\n"
    assert folders.postgres() == []
    assert refuses_connections(port)
    assert all(line.startswith("fidelog: ") for line in served.stderr().splitlines()), served.stderr()


@pytest.fixture
def held_start(folders: Folders) -> Iterator[FileLock]:
    """The lock around every start of PostgreSQL, held by the test."""
    lock = FileLock(folders.data / "control.lock")
    assert lock.try_acquire()
    yield lock
    lock.release()


def test_the_port_answers_before_the_database_starts(folders: Folders, held_start: FileLock) -> None:
    """While PostgreSQL is not up: alive, not ready, reads and writes 503 with Retry-After, and no ready line. Metrics are
    answered, except where a credential is needed and cannot be looked up."""
    served, reached = folders.serve(), folders.serve(FIDELOG_HOST="0.0.0.0")
    http = served.client(f"http://127.0.0.1:{served.bound_port()}")
    assert http.get("/livez").status_code == 200
    assert http.get("/readyz").status_code == 503
    assert http.get("/openapi.json").status_code == 200
    assert unavailable(http.post("/clients", json=CLIENT))
    paths = ("/clients/c1", "/tasks/550e8400-e29b-41d4-a716-446655440000", "/audit/events", "/audit/events/1")
    reads = {path: http.get(path).status_code for path in paths}
    assert http.get("/metrics").text.startswith("# HELP ")
    assert unavailable(reached.client(f"http://127.0.0.1:{reached.bound_port()}").get("/metrics"))
    reached.kill()
    assert served.stdout() == ""
    held_start.release()
    served.ready()
    assert http.get("/readyz").status_code == 200
    assert reads == dict.fromkeys(paths, 503)


def test_a_signal_during_the_start_leaves_no_database(folders: Folders, held_start: FileLock) -> None:
    """SIGTERM while the database is on its way up: exit 0, never ready, and PostgreSQL is not left behind."""
    served = folders.serve()
    port = until_alive(served)
    served.send(signal.SIGTERM)
    until("the signal is heeded", lambda: refuses_connections(port))
    held_start.release()
    assert served.wait() == 0
    assert served.stdout() == ""
    assert folders.postgres() == []


def test_a_signal_does_not_wait_for_a_database_that_does_not_come(folders: Folders, held_start: FileLock) -> None:
    """SIGTERM while the start hangs ends the process within the ten seconds that a drain may take."""
    served = folders.serve()
    port = until_alive(served)
    served.send(signal.SIGTERM)
    until("the signal is heeded", lambda: refuses_connections(port))
    assert served.wait(11) == 0


def test_the_drain_answers_what_is_under_way(folders: Folders) -> None:
    """A write that waits for the tenant's lock when SIGTERM comes is answered 200, then the process ends with 0."""
    served = folders.serve().ready()
    port = served.bound_port()
    with ThreadPoolExecutor(1) as threads, tenant_locked(folders.superuser_url()) as lock:
        posted = threads.submit(served.client().post, "/clients", json=CLIENT)
        until_waiting(folders.superuser_url())
        served.send(signal.SIGTERM)
        until("nothing more is accepted", lambda: refuses_connections(port))
        assert not posted.done()
        lock.rollback()
        assert (posted.result(10).status_code, posted.result().json()) == (200, CLIENT)
    assert served.wait() == 0
    assert folders.postgres() == []


def test_a_second_signal_ends_at_once_and_the_next_start_keeps_everything(folders: Folders) -> None:
    """With a write under way the second signal does not wait; what had been acknowledged is there after a restart."""
    served = folders.serve().ready()
    port = served.bound_port()
    assert served.client().post("/clients", json=CLIENT).status_code == 200
    with ThreadPoolExecutor(1) as threads, tenant_locked(folders.superuser_url()):
        posted = threads.submit(served.client().post, "/clients", json={**CLIENT, "client_id": "client-002"})
        until_waiting(folders.superuser_url())
        served.send(signal.SIGTERM)
        until("the first signal is heeded", lambda: refuses_connections(port))
        served.send(signal.SIGINT)
        served.wait(2)
        with pytest.raises(httpx.TransportError):
            posted.result(5)
    begun = time.monotonic()
    again = folders.serve().ready()
    assert time.monotonic() - begun < 10
    assert again.client().get("/clients/client-001").json() == CLIENT
    assert again.stop() == 0
    assert folders.postgres() == []


def test_options_win_over_the_environment_and_a_new_folder_is_made(new: Folders) -> None:
    """Every option stands above its variable, and folders that are missing are made, private to their owner."""
    wrong = {"FIDELOG_HOST": "0.0.0.0", "FIDELOG_PORT": "no", "FIDELOG_DATA_DIR": "/dev/null", "FIDELOG_STATE_DIR": "/"}
    options = ("--host", "localhost", "--port", "0", "--data-dir", str(new.data), "--state-dir", str(new.state))
    served = new.serve(*options, **wrong).ready()
    assert served.url == f"http://localhost:{served.bound_port()}"
    assert served.stop() == 0
    assert new.pg_data.stat().st_mode & 0o777 == 0o700
    assert new.master_keys.stat().st_mode & 0o777 == 0o700
    assert (new.master_keys / "epoch-1").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "variables",
    [
        {"FIDELOG_TEST_DATABASE_URL": "postgresql://127.0.0.1:1/nothing", "LC_ALL": "de_CH.UTF-8", "LANG": "xx_XX"},
        {
            "PGHOSTADDR": "127.0.0.1",
            "PGPORT": "1",
            "PGUSER": "nobody",
            "PGDATABASE": "x",
            "PGOPTIONS": "-c role=nobody",
        },
    ],
    ids=["tests-and-locale", "libpq"],
)
def test_variables_that_are_not_settings_are_ignored(folders: Folders, variables: dict[str, str]) -> None:
    """Neither the tests' database, a locale that is not installed, nor libpq's variables turn serve from its folder."""
    served = folders.serve(**variables).ready()
    assert served.client().post("/clients", json=CLIENT).status_code == 200
    assert served.stop() == 0
    assert folders.postgres() == []


def test_a_stalled_request_delays_the_stop_by_ten_seconds_at_most(stalled: Stalled) -> None:
    """A client that never sends the rest of its body cannot keep the server; it still stops cleanly, with exit 0."""
    status, seconds = stalled.ended.result(LIMIT)
    assert status == 0
    assert seconds < 13
    assert stalled.folders.postgres() == []
    assert not stalled.served.tracebacks()
