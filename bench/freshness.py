"""S8: how soon the officer's index has what was written, at 1,000 writes a second; and what an idle server asks (S9)."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from operator import attrgetter
from statistics import median

import psycopg

from bench import servers
from bench.paced_writes import Written, write_paced
from bench.postgres import Postgres
from bench.progress import Tell
from bench.report import Fact, Goal, Report
from bench.rounds import WARM_UP_SECONDS, MeasurementError, percentile

WORK = "S8 freshness of the officer's index"
IDLE = "S9 idle, no agents"
PER_SECOND = 1_000
POLL_SECONDS = 0.003
SETTLE_SECONDS = 5.0
IDLE_SECONDS = 10.0

CHECKPOINT = "SELECT position FROM fidelog.tail_checkpoints WHERE tenant_id = 'default' AND name = 'audit_index'"
"""Saved in the transaction that writes the index: an event is visible there exactly when the checkpoint covers it."""
UNINDEXED = """
SELECT count(*) FROM fidelog.events AS e WHERE NOT EXISTS (
    SELECT 1 FROM fidelog.audit_index AS i
    WHERE i.tenant_id = e.tenant_id AND i.subject = e.subjects[1] AND i.position = e.position)"""
TRANSACTIONS = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = 'fidelog'"

IDLE_ASKS = Fact(IDLE, "SQL statements", None, "a second", Goal("≤", 5.0), "pg_stat_database")
FRESH = Fact(WORK, "p99 from sending a write", None, "ms", Goal("≤", 250.0))
AIMS = (IDLE_ASKS, FRESH)

NOTE = (
    f"{WORK}: {PER_SECOND:,} POST /clients a second, open loop; another session of the measuring process reads the "
    f"index's checkpoint every {POLL_SECONDS * 1000:.0f} ms. From sending a write, which is before its commit, to the "
    "answer of the first look that found it: both ends make the figure larger, neither smaller."
)


@dataclass(frozen=True)
class Freshness:
    """The work: how often and how long."""

    rounds: int
    seconds: float

    @property
    def steps(self) -> int:
        """How many steps of progress it tells."""
        return 3 + self.rounds

    @property
    def commands(self) -> list[str]:
        """What is served and looked at."""
        return ["fidelog serve --port PORT", f"psql -c {' '.join(CHECKPOINT.split())!r}"]

    def run(self, postgres: Postgres, report: Report, tell: Tell) -> None:
        """Measure and report. Raises MeasurementError."""
        tell("starting the server")
        with servers.fidelog(postgres.folder, postgres.data_dir, postgres.state_dir) as url:
            tell("idle")
            report.facts.append(_idle(postgres))
            tell("warm-up")
            write_paced(url, PER_SECOND, WARM_UP_SECONDS)
            rounds = []
            for number in range(self.rounds):
                tell(f"round {number + 1} of {self.rounds}: {PER_SECOND} writes a second")
                rounds.append(_round(postgres, url, self.seconds))
        missing = int(postgres.row(UNINDEXED, "fidelog")[0])
        if missing:
            raise MeasurementError(f"{missing} events are below the index's checkpoint and not in the index")
        report.facts += _facts(rounds)
        report.notes.append(NOTE)


def _idle(postgres: Postgres) -> Fact:
    """Each statement of an idle server is a transaction of its own; PostgreSQL counts them with a second's delay."""
    time.sleep(SETTLE_SECONDS)
    before, started = int(postgres.row(TRANSACTIONS)[0]), time.monotonic()
    time.sleep(IDLE_SECONDS)
    after, seconds = int(postgres.row(TRANSACTIONS)[0]), time.monotonic() - started
    return replace(IDLE_ASKS, value=(after - before) / seconds)


def _round(postgres: Postgres, url: str, seconds: float) -> tuple[list[float], list[float]]:
    """For every write, ascending: seconds from its sending, and from its answer, until it was found in the index."""
    with _looking(postgres) as looks:
        written = write_paced(url, PER_SECOND, seconds)
        _await(looks, max(write.position for write in written))
    seen = [_found(looks, write) for write in written]
    pairs = list(zip(seen, written, strict=True))
    return sorted(at - write.sent for at, write in pairs), sorted(at - write.answered for at, write in pairs)


@dataclass(frozen=True, slots=True)
class _Look:
    """The position the checkpoint was at, and when the answer was there."""

    position: int
    at: float


@contextmanager
def _looking(postgres: Postgres) -> Iterator[list[_Look]]:
    """Looks at the checkpoint from a session and a thread of their own; those that found it moved."""
    looks: list[_Look] = []
    ended = threading.Event()

    def look() -> None:
        with psycopg.connect(postgres.url("fidelog"), autocommit=True) as connection:
            while not ended.wait(POLL_SECONDS):
                row = connection.execute(CHECKPOINT.encode(), prepare=True).fetchone()
                assert row is not None
                if not looks or row[0] > looks[-1].position:
                    looks.append(_Look(row[0], time.monotonic()))

    looker = threading.Thread(target=look)
    looker.start()
    try:
        yield looks
    finally:
        ended.set()
        looker.join()


def _await(looks: Sequence[_Look], position: int) -> None:
    end = time.monotonic() + SETTLE_SECONDS
    while not looks or looks[-1].position < position:
        if time.monotonic() > end:
            raise MeasurementError(
                f"the index had not got to position {position} {SETTLE_SECONDS} s after the last write"
            )
        time.sleep(POLL_SECONDS)


def _found(looks: Sequence[_Look], write: Written) -> float:
    return looks[bisect_left(looks, write.position, key=attrgetter("position"))].at


def _facts(rounds: Sequence[tuple[list[float], list[float]]]) -> list[Fact]:
    def milliseconds(of: int, share: float) -> float:
        return 1000 * median(percentile(times[of], share) for times in rounds)

    return [
        replace(FRESH, value=milliseconds(0, 0.99)),
        Fact(WORK, "p50 from sending a write", milliseconds(0, 0.50), "ms"),
        Fact(WORK, "p99 from a write's answer", milliseconds(1, 0.99), "ms"),
    ]
