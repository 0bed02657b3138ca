"""S7: what an event costs on disk and in the write-ahead log, ours against two libraries and a bare table."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
import uvloop

from bench.engine_load import EMMETT, EVENTSOURCING, PROGRAMS, STORED, order_to
from bench.in_process import Shape, measure
from bench.pgbench import sample_event
from bench.postgres import Postgres
from bench.programs import ProgramLoad
from bench.progress import Tell
from bench.report import TIMES, Fact, Goal, Report
from bench.rounds import MeasurementError

WORK = "S7 storage"
DISK = "bytes an event, with all indexes"
WAL = "bytes of WAL an event"
GOAL = Goal("≤", 1.2)
STREAMS = 1_000
AT_ONCE = 256
"""Rows a commit where the rows are appended again."""
DATABASE = "storage"

TABLES = {
    EMMETT: "(tablename LIKE 'emt_messages%' OR tablename LIKE 'emt_streams%')",
    EVENTSOURCING: "tablename = 'application_events'",
}
"""What each library keeps events in. (Emmett's streams hold the versions that our index of streams holds.)"""
TOTAL = (
    "SELECT coalesce(sum(pg_total_relation_size(format('%I.%I', schemaname, tablename)::regclass)), 0) FROM pg_tables"
)
LIKE_OURS = {
    "again": "CREATE TABLE again (LIKE fidelog.events INCLUDING INDEXES)",
    "bare": "CREATE TABLE bare (LIKE fidelog.events, PRIMARY KEY (tenant_id, position))",
}
APART = {
    "officer's index, bytes a row": "fidelog.audit_index",
    "read model, bytes a client": "fidelog.client_profiles",
    "keys, bytes a client": "fidelog.client_keys",
}
NOTE = (
    f"S7: the same number of events with the same data, in {STREAMS:,} streams, one a command, into empty tables after a "
    "CHECKPOINT. Ours has its other tables apart, and its WAL twice: all that the engine wrote, and the same rows appended "
    f"again to a table with the same indexes, {AT_ONCE} a commit."
)


@dataclass(frozen=True)
class Cost:
    """Bytes an event."""

    disk: float
    wal: float


@dataclass(frozen=True)
class StorageWork:
    """The work: so long the engine appends; the others append as many."""

    seconds: float

    steps = 3 + len(PROGRAMS)

    @property
    def commands(self) -> list[str]:
        """How the peers' events were appended."""
        return [program().shown for program in PROGRAMS.values()]

    def run(self, postgres: Postgres, report: Report, tell: Tell) -> None:
        """Measure and report. Raises MeasurementError."""
        tell("storage: making the databases")
        ours = postgres.migrated(DATABASE)
        tell("storage: Fidelog")
        with _wal(postgres) as written:
            shape = Shape(AT_ONCE, STREAMS, followed=True)
            number = uvloop.run(measure(postgres.settings(ours), shape, self.seconds, itertools.count(1))).committed
        sample = sample_event(ours)
        events = Cost(_disk(postgres, "fidelog.events", number), _appended_again(postgres, "again", number))
        tell("storage: a bare table")
        wal = _appended_again(postgres, "bare", number)
        bare = Cost(_disk(postgres, "bare", number), wal)
        report.facts += _facts("Fidelog", events)
        report.facts += _apart(postgres, written[0] / number)
        report.facts += _facts("a bare table with the same columns", bare)
        for name in PROGRAMS:
            tell(f"storage: {name}")
            report.facts += _library(postgres, name, sample, number, events)
        report.notes.append(NOTE)


def _library(postgres: Postgres, name: str, sample: Mapping[str, str], number: int, ours: Cost) -> list[Fact]:
    program = PROGRAMS[name]()
    goal = GOAL if name == EMMETT else None
    ratio = f"Fidelog's events to {name.partition(',')[0]}'s"
    if program.missing:
        return [Fact(WORK, ratio, None, TIMES, goal, not_run=program.missing)]
    database = f"{STORED[name][0]}_{DATABASE}"
    order = {**order_to(postgres, database), "type": sample["type"], "data": json.loads(sample["data"])}
    load = ProgramLoad(name, program, {**order, "streams": STREAMS})
    with _wal(postgres) as written:
        load.run(number=number)
    stored = int(postgres.row(f"SELECT count(*) FROM {STORED[name][1]}", database)[0])
    if not number == stored == load.sent:
        raise MeasurementError(f"{name} appended {stored} events and was asked for {number}")
    disk = float(postgres.row(f"{TOTAL} WHERE {TABLES[name]}", database)[0])
    cost = Cost(disk / number, written[0] / number)
    against = f"{ours.disk:,.0f} to {cost.disk:,.0f} bytes"
    return [*_facts(name.partition(",")[0], cost), Fact(WORK, ratio, ours.disk / cost.disk, TIMES, goal, against)]


def _facts(name: str, cost: Cost) -> list[Fact]:
    return [Fact(WORK, f"{name}: {DISK}", cost.disk, "bytes"), Fact(WORK, f"{name}: {WAL}", cost.wal, "bytes")]


def _apart(postgres: Postgres, wal: float) -> list[Fact]:
    """What the engine writes besides the events."""
    facts = [Fact(WORK, f"Fidelog: {WAL}, with index, read model, keys", wal, "bytes")]
    for figure, table in APART.items():
        size = postgres.row(f"SELECT pg_total_relation_size('{table}')::float8 / count(*) FROM {table}", DATABASE)
        facts.append(Fact(WORK, f"Fidelog: {figure}", float(size[0]), "bytes"))
    return facts


def _disk(postgres: Postgres, table: str, number: int) -> float:
    """Bytes an event in one of our tables. Raises MeasurementError unless all are there."""
    stored, disk = postgres.row(f"SELECT count(*), pg_total_relation_size('{table}') FROM {table}", DATABASE)
    if stored != number:
        raise MeasurementError(f"{number} events were committed and {stored} are in {table}")
    return float(disk) / number


def _appended_again(postgres: Postgres, table: str, number: int) -> float:
    """Bytes of WAL an event when our rows go into another table, in batches as the engine's."""
    append = (
        f"INSERT INTO {table} SELECT * FROM fidelog.events WHERE position > %s AND position <= %s ORDER BY position"
    )
    with psycopg.connect(postgres.url(DATABASE), autocommit=True) as connection:
        connection.execute(LIKE_OURS[table].encode())
        with _wal(postgres) as written:
            for first in range(0, number, AT_ONCE):
                connection.execute(append.encode(), (first, first + AT_ONCE))
    return written[0] / number


@contextmanager
def _wal(postgres: Postgres) -> Iterator[list[float]]:
    """Bytes of WAL written meanwhile, by anybody on the server: the one item of the list, once it is over."""
    written: list[float] = []
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute("CHECKPOINT")
        row = connection.execute("SELECT pg_current_wal_insert_lsn()").fetchone()
        assert row is not None
        yield written
        found = connection.execute("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), %s)", row).fetchone()
        assert found is not None
        written.append(float(found[0]))
