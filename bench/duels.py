"""Two trees of ours under the same load: writes over HTTP, one write at a time, the engine in process."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench import http_load, servers
from bench.http_load import HttpLoad
from bench.one_write import OneWrite
from bench.postgres import Postgres
from bench.progress import Tell
from bench.report import Report, Row
from bench.rounds import FIGURES, Figure, MeasurementError, Reading, alternate, reading
from bench.trees import Tree, TreeDatabase
from bench.works import Entry, Plan, Work

WARM_UP_SECONDS = 1.5
ONE_SECONDS = 1.5
START_SECONDS = 60.0
IN_PROCESS = Path(__file__).with_name("in_process.py")
SHAPES: tuple[tuple[str, int, int | None], ...] = (
    ("engine, 1 in flight, new streams", 1, None),
    ("engine, 256 in flight, new streams", 256, None),
    ("engine, 256 in flight, 100 hot streams", 256, 100),
)
MANY = "POST /clients, 128 connections"
ONE = "POST /clients, one at a time"

Trees = tuple[Tree, Tree]

_firsts = itertools.count(1, 100_000_000)


@dataclass(frozen=True)
class WriteDuel:
    """S1: `fidelog serve` of each tree, side by side."""

    trees: Trees
    rounds: int
    seconds: float

    @property
    def steps(self) -> int:
        """How many steps of progress it tells."""
        return 1 + (2 + 2 * self.rounds if http_load.available() else 0) + 2 * self.rounds

    @property
    def commands(self) -> list[str]:
        """How the load is made."""
        return [" ".join(http_load.command("http://127.0.0.1:PORT", self.seconds, "RUN"))]

    def run(self, postgres: Postgres, report: Report, tell: Tell) -> None:
        """Measure and report. Raises MeasurementError."""
        tell("starting the servers")
        databases = {tree.name: tree.prepare(postgres, f"writes_{number}") for number, tree in enumerate(self.trees)}
        with served(databases, postgres) as urls:
            if http_load.available():
                loads = [HttpLoad(name, url) for name, url in urls.items()]
                alternate(loads, 1, WARM_UP_SECONDS, lambda message: tell(f"warm-up, {message}"))
                report.add(MANY, alternate(loads, self.rounds, self.seconds, tell), rows(MANY, self.trees))
                for load in loads:
                    _check_stored(postgres, databases[load.name], load.answered)
            else:
                missing = f"{http_load.WRK} is missing; install it: {http_load.INSTALL}"
                report.rows += [(row, None) for row in rows(MANY, self.trees, not_run=missing)]
            self._one(urls, report, tell)

    def _one(self, urls: Mapping[str, str], report: Report, tell: Tell) -> None:
        with ExitStack() as stack:
            callers = [stack.enter_context(OneWrite(name, url)) for name, url in urls.items()]
            series = alternate(callers, self.rounds, ONE_SECONDS, lambda message: tell(f"one at a time, {message}"))
        report.add(ONE, series, rows(ONE, self.trees, ("p50",)))


@contextmanager
def served(databases: Mapping[str, TreeDatabase], postgres: Postgres) -> Iterator[dict[str, str]]:
    """Servers of all trees; their URLs by the trees' names."""
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(
                servers.fidelog_of(database.name, database.tree.programs, database.settings, postgres.folder)
            )
            for name, database in databases.items()
        }


def rows(work: str, trees: Trees, figures: tuple[Figure, ...] = FIGURES, not_run: str = "") -> list[Row]:
    """The first tree to the second."""
    return [Row(work, figure, trees[0].name, trees[1].name, not_run=not_run) for figure in figures]


def _check_stored(postgres: Postgres, database: TreeDatabase, answered: int) -> None:
    events = int(postgres.row("SELECT count(*) FROM fidelog.events", database.name)[0])
    if events < answered:
        raise MeasurementError(f"{database.tree.name} answered {answered} writes and stored {events} events")


@dataclass(frozen=True)
class EngineDuel:
    """S2: each tree's engine, in a process of its own for each reading."""

    trees: Trees
    rounds: int
    seconds: float

    @property
    def steps(self) -> int:
        """How many steps of progress it tells."""
        return 1 + len(SHAPES) * (1 + 2 * self.rounds)

    @property
    def commands(self) -> list[str]:
        """How the load is made."""
        return [f"python -P {IN_PROCESS} JSON"]

    def run(self, postgres: Postgres, report: Report, tell: Tell) -> None:
        """Measure and report. Raises MeasurementError."""
        tell("making the databases")
        databases = [tree.prepare(postgres, f"engine_{number}") for number, tree in enumerate(self.trees)]
        for title, in_flight, hot_streams in SHAPES:
            tell(title)
            engines = [EngineProcess(database, in_flight, hot_streams) for database in databases]
            report.add(title, alternate(engines, self.rounds, self.seconds, tell), rows(title, self.trees))


@dataclass(frozen=True)
class EngineProcess:
    """A contender: the engine of a tree, loaded by the script that every tree's is loaded by."""

    database: TreeDatabase
    in_flight: int
    hot_streams: int | None

    @property
    def name(self) -> str:
        """The tree's."""
        return self.database.tree.name

    def measure(self, seconds: float) -> Reading:
        """Load it for `seconds`, a tenth of them before that unmeasured."""
        given = {
            "in_flight": self.in_flight, "hot_streams": self.hot_streams, "seconds": seconds, "first": next(_firsts)
        }  # fmt: skip
        found = self.database.run(IN_PROCESS, given, 2 * seconds + START_SECONDS)
        return reading(found["times"], found["seconds"])


DUELS: dict[str, tuple[str, Callable[[Trees, Plan], Work]]] = {
    "S1": ("writing over HTTP", lambda trees, plan: WriteDuel(trees, plan.rounds, plan.seconds)),
    "S2": ("the engine in process", lambda trees, plan: EngineDuel(trees, plan.rounds, plan.seconds)),
}
"""One line adds a work."""


def duels(trees: Trees) -> dict[str, Entry]:
    """The works that compare two trees, whose names differ."""
    return {name: Entry(title, partial(make, trees)) for name, (title, make) in DUELS.items()}
