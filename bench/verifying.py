"""S6: a full verification of a sealed log against a bare SHA-256 loop over the same bytes."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from api.sealing import incarnations
from api.settings import Settings
from bench.grown import Grown, named
from bench.postgres import Postgres
from bench.progress import Tell
from bench.report import Goal, Report, Row
from bench.rounds import Contender, MeasurementError, Reading, alternate
from eventstore.database import Database
from eventstore.proof.leaf import leaf_of
from eventstore.verifying.known import Known
from eventstore.verifying.rows import auditing, batches
from eventstore.verifying.verdicts import Outcome
from eventstore.verifying.whole import verify_tenant
from eventstore.verifying.workers import workers

WORK = "S6 verification"
ONE, TWO = "one process", "two processes"
GOALS: Mapping[str, Goal] = {ONE: Goal("≥", 0.2), TWO: Goal("≥", 0.35)}
LARGEST = 1_000_000
"""What more of the same would show takes minutes a round."""
HASHED = 100_000
"""Leaves that the bare loop has in memory."""
TENANT = "default"

NOTE = (
    f"{WORK}: `fidelog verify` as a function, of a sealed log, by the auditor's login: rows read, leaves "
    "derived and hashed, tiles compared, the root built; starting the workers is included. PostgreSQL's own processes share the cores. "
    f"Bare SHA-256: `hashlib.sha256` over the first {HASHED:,} leaves, which lie in memory."
)


def measured(sizes: Sequence[int]) -> int:
    """The largest log that is not above LARGEST; 0 when there is none."""
    return max((size for size in sizes if size <= LARGEST), default=0)


def rows(sizes: Sequence[int]) -> tuple[Row, ...]:
    """The comparisons."""
    work = f"{WORK}, {named(measured(sizes))} events"
    names = GOALS.items() if measured(sizes) else ()
    return tuple(Row(work, "rate", name, BareHash.name, goal) for name, goal in names)


class BareHash:
    """SHA-256 of each leaf, and nothing else."""

    name = "bare SHA-256"

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self._leaves = leaves

    def measure(self, seconds: float) -> Reading:
        """For about `seconds`."""
        began, count = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            for leaf in self._leaves:
                hashlib.sha256(leaf).digest()
            count += len(self._leaves)
        taken = time.perf_counter() - began
        return Reading(count, taken, taken, taken)


class Verification:
    """A full verification by so many processes."""

    def __init__(self, name: str, database: Database, number: int, events: int, known: Known) -> None:
        self.name = name
        self._url = database.url("auditor")
        self._number = number
        self._events = events
        self._known = known

    def expect(self, events: int) -> None:
        """Of no interest."""

    def read(self, events: int) -> None:
        """Of no interest."""

    def measure(self, seconds: float) -> Reading:
        """Once, whatever `seconds`. Raises MeasurementError unless the verdict is `verified`."""
        began = time.perf_counter()
        with workers(self._number, self._url, lambda: None) as run:
            verdict = verify_tenant(self._url, TENANT, self._known, run, self).verdict
        taken = time.perf_counter() - began
        if verdict.outcome is not Outcome.VERIFIED or verdict.events < self._events:
            raise MeasurementError(f"{self.name}: {verdict.line()}")
        return Reading(verdict.events, taken, taken, taken)  # what other works asked was recorded meanwhile


@dataclass(frozen=True)
class VerificationWork:
    """The work on the largest log of `sizes` that is not above LARGEST."""

    sizes: Sequence[int]
    rounds: int
    seconds: float

    @property
    def steps(self) -> int:
        """How many steps of progress it tells."""
        return Grown.steps(self.sizes) + 3 * self.rounds

    @property
    def commands(self) -> list[str]:
        """How the loads are made."""
        return ["eventstore.verifying.whole.verify_tenant", "hashlib.sha256"]

    def run(self, postgres: Postgres, report: Report, tell: Tell) -> None:
        """Measure and report. Raises MeasurementError."""
        grown, events = Grown(postgres.logs), measured(self.sizes)
        grown.build(self.sizes, tell)
        with grown.running() as server:
            database = grown.database(server, events)
            known = known_of(server.settings(database))
            loads: list[Contender] = [
                BareHash(first_leaves(database)),
                Verification(ONE, database, 1, events, known),
                Verification(TWO, database, 2, events, known),
            ]
            series = alternate(loads, self.rounds, self.seconds, tell)
            wanted = rows(self.sizes)
            report.add(wanted[0].work, series, list(wanted))
        report.notes += [NOTE, *grown.notes]


def known_of(settings: Settings) -> Known:
    """What the state folder of a log's database says of its keys."""
    log = incarnations(settings).current(TENANT)
    return Known({log.origin: list(log.keyring().verifiers)})


def first_leaves(database: Database) -> list[bytes]:
    """The first leaves of the log."""
    with auditing(database.url("auditor")) as reading:
        return [leaf_of(*row) for batch in batches(reading, TENANT, 0, HASHED) for row in batch]
