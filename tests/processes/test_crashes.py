"""kill -9 of the API, of PostgreSQL and of both under load; two processes on one data folder. (P3, P5, P6)"""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.clusters import CLEAR_NAMES, Cluster
from tests.processes.fidelog_process import FidelogProcess, Folders, tenant_locked, until_waiting
from tests.processes.load import Load, check, log_of
from tests.waiting import until

RESTARTED = "the database was started again"
Pair = tuple[FidelogProcess, FidelogProcess]
BODY = {"full_name": CLEAR_NAMES[1], "risk_profile": "growth"}


def is_ready(http: httpx.Client) -> bool:
    """Whether it can be used."""
    return http.get("/readyz").status_code == 200


def restarted(process: FidelogProcess, times: int) -> bool:
    """Whether the process has told so often that it started PostgreSQL again."""
    return process.stderr().count(RESTARTED) == times


def assert_nothing_in_clear(folders: Folders) -> None:
    """P8: no personal name in any file of the data folder, WAL and PostgreSQL's own log included."""
    assert Cluster("", Path(), folders.data).files_with(CLEAR_NAMES) == []


@pytest.mark.parametrize("killed", ["api", "postgres and api"])
def test_killed_processes_lose_nothing_acknowledged(folders: Folders, killed: str) -> None:
    """After kill -9 under load the next start has every acknowledged command exactly once, and answers every key."""
    served = folders.serve().ready()
    load = Load([served.url]).start()
    load.until_acknowledged(80)
    if "postgres" in killed:
        folders.kill_postgres()
    served.kill()
    load.finish()
    again = folders.serve().ready()
    http = again.client()
    assert is_ready(http)
    assert len(load.sent) > len(load.acknowledged), "commands were under way"
    check(http, load)
    assert again.stop() == 0
    assert folders.postgres() == []
    assert_nothing_in_clear(folders)


def test_killed_postgres_is_started_again_by_the_same_process(folders: Folders) -> None:
    """Writes answer 503 with Retry-After or succeed, then succeed again; nothing is lost or twice; a second kill likewise.

    The second one comes while the process still recovers from the first: its watch outlives every failure.
    """
    served = folders.serve().ready()
    http = served.client()
    load = Load([served.url]).start()
    load.until_acknowledged(80)
    folders.kill_postgres()
    until("PostgreSQL is back", partial(restarted, served, 1), 15)
    load.until_acknowledged(50)
    load.finish()
    folders.kill_postgres()
    until("PostgreSQL is back again", partial(restarted, served, 2), 15)
    until("it is ready again", partial(is_ready, http), 10)
    assert set(load.statuses) <= {200, 503}, load.statuses
    assert served.process.poll() is None
    check(http, load)
    assert served.stderr().count(RESTARTED) == 2
    assert not served.tracebacks()
    assert served.stop() == 0
    assert folders.postgres() == []


@pytest.fixture
def pair(folders: Folders) -> Pair:
    """Two processes on one data folder, started at once."""
    first, second = folders.serve(), folders.serve()
    return first.ready(), second.ready()


def test_two_processes_share_a_folder(folders: Folders, pair: Pair) -> None:
    """Both write at once without a gap; when one leaves the other goes on; the last one stops PostgreSQL."""
    first, second = pair
    load = Load([first.url, second.url], each=5).start()
    load.finish()
    assert load.statuses == {200: 120}
    postmaster = folders.postmaster()
    assert first.stop() == 0
    assert folders.postmaster() == postmaster
    http = second.client()
    assert http.post("/clients", json={"client_id": "later", **BODY}).status_code == 200
    assert len(log_of(http)) == 121
    assert second.stop() == 0
    assert folders.postgres() == []


def test_one_of_two_processes_restarts_postgres(folders: Folders, pair: Pair) -> None:
    """After kill -9 of PostgreSQL under load of both, exactly one starts it again and both write again."""
    load = Load([process.url for process in pair]).start()
    load.until_acknowledged(50)
    folders.kill_postgres()
    until("PostgreSQL is back", lambda: any(RESTARTED in process.stderr() for process in pair), 15)
    load.until_acknowledged(50)
    load.finish()
    for process in pair:
        http = process.client()
        until("it is ready again", partial(is_ready, http), 10)
        assert http.post("/clients", json={"client_id": f"after-{process.process.pid}", **BODY}).status_code == 200
    assert sum(process.stderr().count(RESTARTED) for process in pair) == 1
    events = log_of(pair[0].client())
    positions = {event["correlation_id"]: event["position"] for event in events}
    for key, answer in load.acknowledged.items():
        assert positions[key] == int(answer.headers["fidelog-position"])
    assert [process.stop() for process in pair] == [0, 0]
    assert folders.postgres() == []


def test_a_stopped_process_holds_nobody_up(folders: Folders, pair: Pair) -> None:
    """SIGSTOP of one process, idle or holding the tenant's lock, delays a write of the other by three seconds at most.

    Woken up, it still answers what it had taken.
    """
    stopped, other = pair
    http = other.client()
    stopped.send(signal.SIGSTOP)
    assert _seconds_of_a_write(http, "while-idle") < 3
    stopped.send(signal.SIGCONT)
    with ThreadPoolExecutor(1) as threads:
        with tenant_locked(folders.superuser_url()) as lock:
            slow = threads.submit(stopped.client().post, "/clients", json={"client_id": "slow", **BODY})
            until_waiting(folders.superuser_url())
            stopped.send(signal.SIGSTOP)
            lock.rollback()  # its session gets the lock now, and nobody is there to give it back
        assert _seconds_of_a_write(http, "while-busy") < 3
        assert not slow.done()
        stopped.send(signal.SIGCONT)
        assert slow.result(10).status_code == 200
    assert [event["stream"] for event in log_of(http)] == ["client-while-idle", "client-while-busy", "client-slow"]


def _seconds_of_a_write(http: httpx.Client, client_id: str) -> float:
    begun = time.monotonic()
    assert http.post("/clients", json={"client_id": client_id, **BODY}).status_code == 200
    return time.monotonic() - begun
