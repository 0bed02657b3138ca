"""S8: how soon the officer's index has what was written, and how soon it is sealed under a signed checkpoint, at 1,000
writes a second; and what an idle server asks (S9)."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
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
SEAL = "S8 sealed under a signed checkpoint"
IDLE = "S9 idle, no agents"
PER_SECOND = 1_000
POLL_SECONDS = 0.003
SETTLE_SECONDS = 5.0
IDLE_SECONDS, IDLE_WINDOWS = 7.0, 3
"""Of three windows the middle one counts: autovacuum looks in once a minute, and its transactions are not the server's."""

INDEXED = "SELECT position FROM fidelog.tail_checkpoints WHERE tenant_id = 'default' AND name = 'audit_index'"
"""Saved in the transaction that writes the index: an event is visible there exactly when the checkpoint covers it."""
SEALED = "SELECT size FROM fidelog.checkpoints WHERE tenant_id = 'default' ORDER BY size DESC LIMIT 1"
"""Of the tree that the newest published checkpoint signs: it holds the events up to the position of that number."""
UNINDEXED = """
SELECT count(*) FROM fidelog.events AS e WHERE NOT EXISTS (
    SELECT 1 FROM fidelog.audit_index AS i
    WHERE i.tenant_id = e.tenant_id AND i.subject = e.subjects[1] AND i.position = e.position)"""
TRANSACTIONS = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = 'fidelog'"

IDLE_ASKS = Fact(IDLE, "SQL statements", None, "a second", Goal("≤", 5.0), "pg_stat_database")
FRESH = Fact(WORK, "p99 from sending a write", None, "ms", Goal("≤", 250.0))
SEALED_SOON = Fact(SEAL, "p99 from sending a write", None, "ms", Goal("≤", 1000.0))
AIMS = (IDLE_ASKS, FRESH, SEALED_SOON)

NOTE = (
    f"{WORK}: {PER_SECOND:,} POST /clients a second, open loop; two other sessions of the measuring process read the "
    f"index's checkpoint and the log's newest every {POLL_SECONDS * 1000:.0f} ms. From sending a write, which is before its commit, to the "
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
        return ["fidelog serve --port PORT", *(f"psql -c {asked!r}" for asked in (INDEXED, SEALED))]

    def run(self, postgres: Postgres, report: Report, tell: Tell) -> None:
        """Measure and report. Raises MeasurementError."""
        tell("starting the server")
        with servers.fidelog(postgres.folder, postgres.data_dir, postgres.state_dir) as url:
            tell("idle")
            report.facts.append(_idle(postgres))
            tell("warm-up")
            write_paced(url, PER_SECOND, WARM_UP_SECONDS)
            rounds: list[Mapping[str, _Times]] = []
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
    with psycopg.connect(postgres.url("fidelog"), autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE)")  # what earlier works wrote there is not left to autovacuum
    time.sleep(SETTLE_SECONDS)
    rates = tuple(_asked(postgres) for _ in range(IDLE_WINDOWS))
    return replace(IDLE_ASKS, value=median(rates), rounds=rates)


def _asked(postgres: Postgres) -> float:
    """Transactions a second, over a window."""
    before, started = int(postgres.row(TRANSACTIONS)[0]), time.monotonic()
    time.sleep(IDLE_SECONDS)
    after, seconds = int(postgres.row(TRANSACTIONS)[0]), time.monotonic() - started
    return (after - before) / seconds


_Times = tuple[list[float], list[float]]
"""For every write, ascending: seconds from its sending, and from its answer, until it was found."""


def _round(postgres: Postgres, url: str, seconds: float) -> Mapping[str, _Times]:
    """Until each write was found in the index, and under a signed checkpoint."""
    with _looking(postgres, INDEXED) as indexed, _looking(postgres, SEALED) as sealed:
        written = write_paced(url, PER_SECOND, seconds)
        last = max(write.position for write in written)
        _await(indexed, last, "the index")
        _await(sealed, last, "the newest checkpoint")
    return {WORK: _times(indexed, written), SEAL: _times(sealed, written)}


def _times(looks: Sequence[_Look], written: Sequence[Written]) -> _Times:
    pairs = [(_found(looks, write), write) for write in written]
    return sorted(at - write.sent for at, write in pairs), sorted(at - write.answered for at, write in pairs)


@dataclass(frozen=True, slots=True)
class _Look:
    """The position that was reached, and when the answer was there."""

    position: int
    at: float


@contextmanager
def _looking(postgres: Postgres, asked: str) -> Iterator[list[_Look]]:
    """Looks at a position from a session and a thread of their own; those that found it moved."""
    looks: list[_Look] = []
    ended = threading.Event()

    def look() -> None:
        with psycopg.connect(postgres.url("fidelog"), autocommit=True) as connection:
            while not ended.wait(POLL_SECONDS):
                row = connection.execute(asked.encode(), prepare=True).fetchone()
                if row is not None and (not looks or row[0] > looks[-1].position):
                    looks.append(_Look(row[0], time.monotonic()))

    looker = threading.Thread(target=look)
    looker.start()
    try:
        yield looks
    finally:
        ended.set()
        looker.join()


def _await(looks: Sequence[_Look], position: int, what: str) -> None:
    end = time.monotonic() + SETTLE_SECONDS
    while not looks or looks[-1].position < position:
        if time.monotonic() > end:
            raise MeasurementError(f"{what} had not got to position {position} {SETTLE_SECONDS} s after the last write")
        time.sleep(POLL_SECONDS)


def _found(looks: Sequence[_Look], write: Written) -> float:
    return looks[bisect_left(looks, write.position, key=attrgetter("position"))].at


def _facts(rounds: Sequence[Mapping[str, _Times]]) -> Iterator[Fact]:
    for aim in (FRESH, SEALED_SOON):
        times = [found[aim.work] for found in rounds]

        def milliseconds(of: int, share: float, times: Sequence[_Times] = times) -> float:
            return 1000 * median(percentile(each[of], share) for each in times)

        yield replace(aim, value=milliseconds(0, 0.99))
        yield Fact(aim.work, "p50 from sending a write", milliseconds(0, 0.50), "ms")
        yield Fact(aim.work, "p99 from a write's answer", milliseconds(1, 0.99), "ms")
