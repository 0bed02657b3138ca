"""S2: the engine in process against pgbench, one guarded insert a commit, and against libraries for event sourcing."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from psycopg.conninfo import conninfo_to_dict

from bench.engine import EngineLoad
from bench.in_process import Shape
from bench.pgbench import SCRIPT, Pgbench, sample_event
from bench.postgres import Postgres
from bench.programs import Program, ProgramLoad, in_node, in_python
from bench.progress import Tell
from bench.report import Goal, Report, Row
from bench.rounds import Contender, MeasurementError, alternate

WORK = "S2 engine, commands"
PEER = "pgbench, 32 clients"
EMMETT = "Emmett, 256 in flight"
EVENTSOURCING = "eventsourcing, 2 threads"
HOT_STREAMS = 100

NEW = "256 in flight, new streams"
HOT = f"256 in flight, {HOT_STREAMS} hot streams"
SHAPES: Mapping[str, Shape] = {
    "1 in flight, new streams": Shape(1),
    "16 in flight, new streams": Shape(16),
    "64 in flight, new streams": Shape(64),
    NEW: Shape(256),
    "1024 in flight, new streams": Shape(1024),
    HOT: Shape(256, HOT_STREAMS),
    f"1024 in flight, {HOT_STREAMS} hot streams": Shape(1024, HOT_STREAMS),
    f"{NEW}, index following": Shape(256, followed=True),
}
LIBRARY_ROWS = (
    Row(f"{WORK}, {NEW}", "rate", NEW, EMMETT, Goal("≥", 8.0)),
    Row(f"{WORK}, {NEW}", "rate", NEW, EVENTSOURCING, Goal("≥", 30.0)),
)
PGBENCH_ROWS = tuple(
    Row(f"{WORK}, {name}", "rate", name, PEER, Goal("≥", 3.0) if name in {NEW, HOT} else None) for name in SHAPES
)
ROWS = (*PGBENCH_ROWS, *LIBRARY_ROWS)
PROGRAMS: Mapping[str, Callable[[], Program]] = {
    EMMETT: lambda: in_node("emmett", "@event-driven-io/emmett-postgresql"),
    EVENTSOURCING: lambda: in_python("eventsourcing_app", "eventsourcing"),
}
NOTE = (
    "pgbench: each client is a tenant of its own, because positions of one tenant have no gap and its writers would "
    "queue; same table, indexes, guards, policies, login and session settings as the engine's. The engine's commands "
    "also write a data key and a read-model row, and look up their idempotency keys. Nothing follows the log, but where it "
    "is said that the officer's index does (S8 measures how soon it has what was written). Emmett and eventsourcing append an "
    "event with the same data to a new stream a command, as their documentation has it (bench/peers), without read models."
)


@dataclass(frozen=True)
class EngineWork:
    """The work: how often and how long."""

    rounds: int
    seconds: float

    @property
    def steps(self) -> int:
        """How many steps of progress it tells."""
        return 1 + (len(SHAPES) + 1 + sum(not program().missing for program in PROGRAMS.values())) * self.rounds

    @property
    def commands(self) -> list[str]:
        """How the peers' load was made."""
        seconds = max(1, round(self.seconds))
        pgbench = f"pgbench -n -c 32 -j 2 -M prepared -T {seconds} -l -f {SCRIPT} -D NAME=VALUE … URL"
        return [pgbench, *(program().shown for program in PROGRAMS.values())]

    def run(self, postgres: Postgres, report: Report, tell: Tell) -> None:
        """Measure and report. Raises MeasurementError."""
        tell("making the engine's and the peers' databases")
        ours, peers = postgres.migrated("engine"), postgres.migrated("peer")
        engines = [EngineLoad(name, postgres.settings(ours), shape) for name, shape in SHAPES.items()]
        engines[0].measure(0.3)  # writes the event that serves the peers as a sample
        sample = sample_event(ours)
        libraries = _libraries(postgres, sample)
        contenders: list[Contender] = [Pgbench(PEER, postgres.server.bin_dir, peers, sample), *libraries, *engines]
        series = alternate(contenders, self.rounds, self.seconds, tell)
        committed = sum(engine.committed for engine in engines)
        _check(postgres, "engine", "fidelog.events", committed)
        for library in libraries:
            _check(postgres, *STORED[library.name], library.sent)
        rows = [row for row in ROWS if row.peer in series.readings]
        report.add(WORK, series, rows)
        report.rows += [(missing, None) for row in LIBRARY_ROWS if (missing := _missing(row)).not_run]
        report.notes.append(NOTE)


STORED = {EMMETT: ("emmett", "emt_messages"), EVENTSOURCING: ("eventsourcing", "application_events")}
"""Where each library's events must be found: database, table."""


def _libraries(postgres: Postgres, sample: Mapping[str, str]) -> list[ProgramLoad]:
    data = json.loads(sample["data"])
    found: list[ProgramLoad] = []
    for name, program in PROGRAMS.items():
        if not program().missing:
            database, _ = STORED[name]
            order = {**order_to(postgres, database), "type": sample["type"], "data": data, "streams": 0}
            found.append(ProgramLoad(name, program(), order))
    return found


def order_to(postgres: Postgres, database: str) -> dict[str, object]:
    """Where a library writes, a new database, and with how much at once."""
    url = postgres.create(database)
    given = conninfo_to_dict(url)
    return {
        "url": url,
        "host": given["host"],
        "port": given["port"],
        "dbname": database,
        "in_flight": 256,
        "threads": 2,
    }


def _missing(row: Row) -> Row:
    return replace(row, not_run=PROGRAMS[row.peer]().missing)


def _check(postgres: Postgres, database: str, table: str, answered: int) -> None:
    """What was answered is stored. Raises MeasurementError when it is not."""
    events = int(postgres.row(f"SELECT count(*) FROM {table}", database)[0])
    if events != answered:
        raise MeasurementError(f"{answered} events were answered and {events} are in {table}")
