"""S6: a full verification of a sealed log against a bare SHA-256 loop over the same bytes."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from bench.grown import Grown, named
from bench.postgres import Postgres
from bench.progress import Tell
from bench.report import Goal, Report, Row
from bench.rounds import Contender, MeasurementError, Reading, alternate
from eventstore.database import Database
from eventstore.proof.checkpoint import Checkpoint
from eventstore.proof.growth import GrowingTree
from eventstore.proof.keys import Kind
from eventstore.proof.leaf import leaf_of
from eventstore.proof.merkle import leaf_hash
from eventstore.proof.note import sign
from eventstore.proof.signing_keys import SigningKey
from eventstore.verifying.known import Known
from eventstore.verifying.rows import auditing, batches
from eventstore.verifying.verdicts import Outcome
from eventstore.verifying.whole import verify_tenant
from eventstore.verifying.workers import workers

WORK = "S6 verification"
ONE, TWO = "one process", "two processes"
GOALS: Mapping[str, Goal] = {ONE: Goal("≥", 0.2), TWO: Goal("≥", 0.35)}
LARGEST = 1_000_000
"""A log is copied to be sealed; a copy of a larger one would take the disk of two."""
HASHED = 100_000
"""Leaves that the bare loop has in memory."""
TENANT, ORIGIN = "default", "bench.invalid/default"

NOTE = (
    f"{WORK}: `fidelog verify` as a function, of a log with all tiles and one checkpoint, by the auditor's login: rows read, leaves "
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
        if verdict.outcome is not Outcome.VERIFIED or verdict.events != self._events:
            raise MeasurementError(f"{self.name}: {verdict.line()}")
        return Reading(self._events, taken, taken, taken)


@dataclass(frozen=True)
class VerificationWork:
    """The work on the largest log of `sizes` that is not above LARGEST."""

    sizes: Sequence[int]
    rounds: int
    seconds: float

    @property
    def steps(self) -> int:
        """How many steps of progress it tells."""
        return Grown.steps(self.sizes) + 1 + 3 * self.rounds

    @property
    def commands(self) -> list[str]:
        """How the loads are made."""
        return ["eventstore.verifying.whole.verify_tenant", "hashlib.sha256"]

    def run(self, postgres: Postgres, report: Report, tell: Tell) -> None:
        """Measure and report. Raises MeasurementError."""
        grown, events = Grown(postgres.folder), measured(self.sizes)
        grown.build(self.sizes, tell)
        with grown.running() as server:
            tell("sealing a copy of the log")
            database = _copied(grown, server, events)
            known, leaves = sealed(database)
            loads: list[Contender] = [
                BareHash(leaves),
                Verification(ONE, database, 1, events, known),
                Verification(TWO, database, 2, events, known),
            ]
            series = alternate(loads, self.rounds, self.seconds, tell)
            wanted = rows(self.sizes)
            report.add(wanted[0].work, series, list(wanted))
            _drop(server, database)
        report.notes += [NOTE, *grown.notes]


def sealed(database: Database) -> tuple[Known, list[bytes]]:
    """Insert the tiles of the whole log and a checkpoint; what is known of it, and its first leaves."""
    key = SigningKey(ORIGIN, Kind.LOG, os.urandom(32))
    tree, leaves = GrowingTree(), list[bytes]()
    with auditing(database.url("auditor")) as reading, psycopg.connect(database.url("superuser")) as writing:
        for batch in batches(reading, TENANT, 0, 2**62):
            derived = [leaf_of(*row) for row in batch]
            leaves.extend(derived[: HASHED - len(leaves)])
            for full in tree.extend(map(leaf_hash, derived)):
                values = (TENANT, full.tile.level, full.tile.index, full.hashes)
                writing.execute("INSERT INTO fidelog.tiles VALUES (%s, %s, %s, %s)", values)
        checkpoint = Checkpoint(ORIGIN, tree.size, tree.root)
        note = sign(checkpoint.text, [key]).data.decode()
        writing.execute(
            "INSERT INTO fidelog.checkpoints VALUES (%s, %s, %s, %s, %s)",
            (TENANT, ORIGIN, tree.size, tree.root, note),
        )
    return Known({ORIGIN: [key.verifier]}), leaves


def _copied(grown: Grown, server: Postgres, events: int) -> Database:
    """A copy of the log, so that other works find theirs as it was."""
    name = f"{grown.name(events)}_sealed"
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(statement.format(sql.Identifier(name), sql.Identifier(grown.name(events))))
    original = grown.database(server, events)
    urls = {login: url.replace(grown.name(events), name) for login, url in original.urls.items()}
    return Database("embedded", urls, data_dir=original.data_dir)


def _drop(server: Postgres, database: Database) -> None:
    name = psycopg.conninfo.conninfo_to_dict(database.urls["superuser"])["dbname"]
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(str(name))))
