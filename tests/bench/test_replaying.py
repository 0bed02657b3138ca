"""S4 on a small log: every row made, faults told, an end in order."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from bench.grown import Grown
from bench.postgres import Postgres
from bench.replay_loads import RawCopy, ReplayLoad
from bench.replaying import NAMES, ONE, all_rows
from bench.rounds import MeasurementError
from bench.servers import ROOT
from bench.verifying import BareHash, Verification, first_leaves, known_of
from bench.works import WORKS, Plan
from eventstore.database import Database
from eventstore.embedded.processes import processes_in, wait_until_gone
from tests.conftest import scratch
from tests.processes.fidelog_process import environment

EVENTS = 3_000


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Where the filled log lies."""
    with tempfile.TemporaryDirectory(prefix="fdl-", dir=scratch()) as name:
        yield Path(name)


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Postgres]:
    """A server with a filled log, its read models made, sealed."""
    grown = Grown(folder)
    grown.build([EVENTS], lambda _: None)
    with grown.running() as postgres:
        yield postgres


@pytest.fixture(scope="module")
def log(server: Postgres, folder: Path) -> Database:
    """The log's logins."""
    return Grown(folder).database(server, EVENTS)


@pytest.mark.usefixtures("log")
def test_a_folder_of_filled_logs_is_used_again(folder: Path) -> None:
    """Nothing is filled anew; a log that is not in it is named, not made beside the others."""
    told: list[str] = []

    def tell(message: str) -> None:
        told.append(message)

    again = Grown(folder)
    again.build([EVENTS], tell)
    assert told == []
    assert any(note.startswith("3k filled") for note in again.notes)
    with pytest.raises(MeasurementError, match="holds no log of 5k events"):
        again.build([EVENTS, 5_000], tell)


def _numbers(database: Database) -> list[int]:
    with psycopg.connect(database.url("superuser")) as connection:
        found = [connection.execute(f"SELECT count(*) FROM fidelog.{name}".encode()).fetchone() for name in NAMES]
    return [row[0] for row in found if row is not None]


def test_a_round_makes_every_row_from_every_event(log: Database) -> None:
    """The tables are emptied first, and hold as many rows as before at the end; memory is told of all its processes."""
    before = _numbers(log)
    load = ReplayLoad(ONE, log, NAMES, 1, EVENTS)
    reading = load.measure(0)
    assert reading.count == EVENTS
    assert _numbers(log) == before
    assert all(before)
    assert load.memory[0].peak > 2 * 20 << 20, "a coordinator and a worker"


def test_a_count_of_events_that_is_not_the_logs_is_a_fault(log: Database) -> None:
    """Neither a copy nor a replay of another log is given as a rate of this one."""
    with pytest.raises(MeasurementError, match="gave 3000 rows of 3001"):
        RawCopy(log, EVENTS + 1).measure(0)
    with pytest.raises(MeasurementError, match="did not make every row from 3001 events"):
        ReplayLoad(ONE, log, NAMES, 1, EVENTS + 1).measure(0)


def test_the_comparisons_are_those_of_the_logs_that_are_measured() -> None:
    """Of all but the smallest, or of the only one: a failure shows just what would have been reported."""
    entry = WORKS["S4"]
    assert entry.comparisons(Plan(1, 1, (1_000, 2_000))) == all_rows([2_000])
    assert entry.comparisons(Plan(1, 1, (2_000,))) == all_rows([2_000])
    assert all_rows([1_000, 2_000])


def test_an_interrupted_replay_leaves_nothing_behind() -> None:
    """Neither the replay's processes nor a server nor a folder, though only the bench itself is told to stop."""
    with tempfile.TemporaryDirectory(prefix="fdl-", dir=scratch()) as folder:
        bench = subprocess.Popen(
            [sys.executable, "-m", "bench", "--only", "S4", "--rounds", "1", "--sizes", str(EVENTS)],
            cwd=ROOT, env=environment(TMPDIR=folder), stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        assert bench.stderr is not None
        assert any("round 1 of 1: one process" in line for line in bench.stderr)
        below = _replaying(bench.pid)
        used = [process for data in Path(folder).glob("*/**/data/postgres") for process in processes_in(data)]
        bench.send_signal(signal.SIGTERM)
        _, rest = bench.communicate(timeout=60)
        assert (bench.returncode, rest.splitlines()[-1]) == (130, "bench: stopped")
        assert len(used) > 1
        assert wait_until_gone([*used, *below], 10) == []
        assert list(Path(folder).iterdir()) == []


def _replaying(pid: int) -> list[psutil.Process]:
    """All processes below the bench, once a replay with its worker is among them."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        below = psutil.Process(pid).children(recursive=True)
        replays = [one for one in below if "bench.replay_process" in " ".join(_command(one))]
        if replays and any("multiprocessing.spawn" in " ".join(_command(one)) for one in below):
            return below
    raise AssertionError("no replay was started")


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_a_verification_is_of_every_event(server: Postgres, log: Database) -> None:
    """S6, on the same log: its verdict must be `verified`, on so many events as are said."""
    known, leaves = known_of(server.settings(log)), first_leaves(log)
    assert len(leaves) == EVENTS
    assert BareHash(leaves).measure(0.01).count >= EVENTS
    assert Verification("one process", log, 1, EVENTS, known).measure(0).count == EVENTS
    with pytest.raises(MeasurementError, match="verified"):
        Verification("one process", log, 1, EVENTS + 1, known).measure(0)
