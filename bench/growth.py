"""S10: S1 and S3 on logs that are empty and long, while a snapshot is held open in another session; and disk per event."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import resources

import psycopg

from api.settings import Settings
from bench import http_load, servers
from bench.disk import disk
from bench.grown import Grown, named
from bench.http_load import HttpLoad
from bench.postgres import Postgres
from bench.progress import Tell
from bench.report import Fact, Goal, Report, Row
from bench.rounds import Contender, MeasurementError, alternate_warm
from eventstore.database import Database

WORK = "S10 growth"
WRITES = f"{WORK}, POST /clients, 128 connections"
LIFECYCLES = f"{WORK}, task lifecycles, 16 agents"
GOAL = Goal("≥", 0.8)
LEFT = Goal("≤", 0.01)
"""Dead rows per row written, once nothing holds them."""
EMPTY = "empty log"

WRITTEN = resources.files("bench").joinpath("sql", "written.sql").read_bytes()

NOTE = (
    f"{WORK}: a session in each database began a REPEATABLE READ transaction and read before the first round, and held "
    "its snapshot until after the last. What the rounds wrote stays: the empty log is empty at the beginning only."
)

LoadOf = Callable[[str, Settings], Contender]
"""A load in process, under a name, on the database of the settings."""


def log_of(events: int) -> str:
    """A contender's name."""
    return f"{named(events)} events"


def rows(work: str, sizes: Sequence[int]) -> tuple[Row, ...]:
    """The comparisons: the smallest and the largest log with an empty one."""
    compared = dict.fromkeys((sizes[0], sizes[-1]))
    return (
        *(Row(work, "rate", log_of(events), EMPTY, GOAL) for events in compared),
        *(Row(work, "p99", log_of(events), EMPTY) for events in compared),
    )


def aims(sizes: Sequence[int]) -> tuple[Row, ...]:
    """What is compared, for both loads."""
    return (*rows(WRITES, sizes), *rows(LIFECYCLES, sizes))


@dataclass(frozen=True)
class Growth:
    """The work. `lifecycles` makes S3's load. Sizes ascend."""

    sizes: Sequence[int]
    rounds: int
    seconds: float
    lifecycles: LoadOf

    @property
    def steps(self) -> int:
        """How many steps of progress it tells."""
        loads = http_load.available() + 1
        logs = 1 + len({self.sizes[0], self.sizes[-1]})
        return Grown.steps(self.sizes) + 2 + loads * logs * (self.rounds + 1)

    @property
    def commands(self) -> list[str]:
        """How the load is made."""
        load = http_load.command("http://127.0.0.1:PORT", self.seconds, http_load.POST_CLIENTS, 1)
        return ["fidelog serve --port PORT, one on each log", " ".join(load)]

    def run(self, postgres: Postgres, report: Report, tell: Tell) -> None:
        """Measure and report. Raises MeasurementError."""
        grown = Grown(postgres.folder)
        grown.build(self.sizes, tell)
        with grown.running() as server:
            for events in self.sizes:
                report.facts += disk(server.url(grown.name(events)), log_of(events))
            databases = {EMPTY: server.migrated("grown_0")}
            for events in (self.sizes[0], self.sizes[-1]):
                databases[log_of(events)] = grown.database(server, events)
            self._measure(server, databases, report, tell)
        report.notes += [NOTE, *grown.notes]

    def _measure(self, server: Postgres, databases: Mapping[str, Database], report: Report, tell: Tell) -> None:
        settings = {name: server.settings(database) for name, database in databases.items()}
        before = {name: _written(database) for name, database in databases.items()}
        with _snapshots_held(databases.values()):
            self._writes(server, settings, report, tell)
            self._lifecycles(settings, report, tell)
            report.facts += [_dead(name, databases[name], before[name], "a snapshot held") for name in databases]
        tell("vacuuming")
        for database in databases.values():
            _execute(database, b"VACUUM")
        after = "the snapshot released, vacuumed"
        report.facts += [_dead(name, databases[name], before[name], after, LEFT) for name in databases]

    def _writes(self, server: Postgres, settings: Mapping[str, Settings], report: Report, tell: Tell) -> None:
        """S1's load."""
        if not http_load.available():
            report.rows += http_load.not_run(rows(WRITES, self.sizes))
            return
        with ExitStack() as stack:
            loads = []
            for number, (name, each) in enumerate(settings.items()):
                url = stack.enter_context(servers.fidelog_on(f"log {number}", server.folder, each))
                loads.append(HttpLoad(name, url))
            report.add(WRITES, alternate_warm(loads, self.rounds, self.seconds, tell), rows(WRITES, self.sizes))

    def _lifecycles(self, settings: Mapping[str, Settings], report: Report, tell: Tell) -> None:
        """S3's load."""
        loads = [self.lifecycles(name, each) for name, each in settings.items()]
        series = alternate_warm(loads, self.rounds, self.seconds, lambda message: tell(f"lifecycles, {message}"))
        report.add(LIFECYCLES, series, rows(LIFECYCLES, self.sizes))


@contextmanager
def _snapshots_held(databases: Iterable[Database]) -> Iterator[None]:
    """A snapshot in each database, from before to after."""
    with ExitStack() as stack:
        for database in databases:
            connection = stack.enter_context(psycopg.connect(database.url("superuser")))
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.execute("SELECT position FROM fidelog.events LIMIT 1")
        yield


def _written(database: Database) -> int:
    return _counted(database)[0]


def _counted(database: Database) -> tuple[int, int]:
    """Rows ever written, and dead rows."""
    with psycopg.connect(database.url("superuser"), autocommit=True) as connection:
        row = connection.execute(WRITTEN).fetchone()
    assert row is not None, "a sum gives a row"
    return row[0], row[1]


def _dead(name: str, database: Database, before: int, when: str, goal: Goal | None = None) -> Fact:
    written, dead = _counted(database)
    if written <= before:
        raise MeasurementError(f"{name}: PostgreSQL counted no rows written")
    figure = f"dead rows per row written, {name}, {when}"
    return Fact(WORK, figure, dead / (written - before), "rows", goal, f"{dead:,} dead, {written - before:,} written")


def _execute(database: Database, command: bytes) -> None:
    with psycopg.connect(database.url("superuser"), autocommit=True) as connection:
        connection.execute(command)
