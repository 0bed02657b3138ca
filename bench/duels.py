"""Two trees of ours under the same load: writes and reads over HTTP, one write at a time, the engine in process."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench import http_load, read_load, reading_data
from bench.fresh_server import FreshServer, by_many, by_one, serving
from bench.postgres import Postgres
from bench.progress import Tell
from bench.report import Report, Row
from bench.rounds import FIGURES, Figure, MeasurementError, Reading, Series, alternate, reading
from bench.trees import Tree, TreeDatabase
from bench.works import Entry, Plan, Work

START_SECONDS = 60.0
IN_PROCESS = Path(__file__).with_name("in_process.py")
SHAPES: tuple[tuple[str, int, int | None], ...] = (
    ("engine, 1 in flight, new streams", 1, None),
    ("engine, 256 in flight, new streams", 256, None),
    ("engine, 256 in flight, 100 hot streams", 256, 100),
)
NO_WRK = f"{http_load.WRK} is missing; install it: {http_load.INSTALL}"
MANY = "POST /clients, 128 connections"
ONE = "POST /clients, one at a time"

Trees = tuple[Tree, Tree]

_firsts = itertools.count(1, 100_000_000)


@dataclass(frozen=True)
class WriteDuel:
    """S1: writes of many callers and of one."""

    trees: Trees
    rounds: int
    seconds: float

    @property
    def steps(self) -> int:
        """How many steps of progress it tells."""
        return 1 + 2 * self.rounds * (2 if http_load.available() else 1)

    @property
    def commands(self) -> list[str]:
        """How the load is made."""
        return [" ".join(http_load.command("http://127.0.0.1:PORT", self.seconds, http_load.POST_CLIENTS, 1))]

    def run(self, postgres: Postgres, report: Report, tell: Tell) -> None:
        """Measure and report. Raises MeasurementError."""
        tell("making the databases")
        databases = [tree.prepare(postgres, f"writes_{number}") for number, tree in enumerate(self.trees)]
        if http_load.available():
            contenders = [FreshServer(one, postgres.folder, by_many(http_load.POST_CLIENTS)) for one in databases]
            series = alternate(contenders, self.rounds, self.seconds, tell)
            report.add(MANY, series, rows(MANY, self.trees))
            for database in databases:
                _check_stored(postgres, database, series)
        else:
            report.rows += [(row, None) for row in rows(MANY, self.trees, not_run=NO_WRK)]
        callers = [FreshServer(one, postgres.folder, by_one) for one in databases]
        series = alternate(callers, self.rounds, self.seconds, lambda message: tell(f"one at a time, {message}"))
        report.add(ONE, series, rows(ONE, self.trees, ("p50",)))


def rows(work: str, trees: Trees, figures: tuple[Figure, ...] = FIGURES, not_run: str = "") -> list[Row]:
    """The first tree to the second."""
    return [Row(work, figure, trees[0].name, trees[1].name, not_run=not_run) for figure in figures]


def _check_stored(postgres: Postgres, database: TreeDatabase, series: Series) -> None:
    answered = sum(one.count for one in series.readings[database.tree.name])
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


@dataclass(frozen=True)
class ReadDuel:
    """S11: reads of the same clients and tasks. A route that one of the trees has not is not measured."""

    trees: Trees
    rounds: int
    seconds: float

    @property
    def steps(self) -> int:
        """How many steps of progress it tells."""
        return 1 + len(read_load.WORKS) * 2 * self.rounds

    @property
    def commands(self) -> list[str]:
        """How the load is made."""
        url = "http://127.0.0.1:PORT"
        return [" ".join(http_load.command(url, self.seconds, requests, 1)) for requests in read_load.WORKS.values()]

    def run(self, postgres: Postgres, report: Report, tell: Tell) -> None:
        """Measure and report. Raises MeasurementError."""
        if not http_load.available():
            report.rows += [(row, None) for title in read_load.WORKS for row in rows(title, self.trees, not_run=NO_WRK)]
            return
        tell("writing what is read")
        databases = [tree.prepare(postgres, f"reads_{number}") for number, tree in enumerate(self.trees)]
        answered = {database.tree.name: _write_what_is_read(postgres, database) for database in databases}
        for title, requests in read_load.WORKS.items():
            if without := [name for name, titles in answered.items() if title not in titles]:
                why = f"{' and '.join(without)} does not answer it"
                report.rows += [(row, None) for row in rows(title, self.trees, not_run=why)]
                continue
            contenders = [FreshServer(database, postgres.folder, by_many(requests)) for database in databases]
            series = alternate(contenders, self.rounds, self.seconds, tell)
            report.add(title, series, rows(title, self.trees))


def _write_what_is_read(postgres: Postgres, database: TreeDatabase) -> set[str]:
    """Which of the works the tree can answer."""
    paths = {title: requests.arguments(1)[0] % 1 for title, requests in read_load.WORKS.items()}
    with serving(database, postgres.folder) as url:
        reading_data.write_ours(url)
        answered = {title for title, path in paths.items() if reading_data.answers(url, path)}
    reading_data.settle(postgres.url(database.name))
    return answered


DUELS: dict[str, tuple[str, Callable[[Trees, Plan], Work]]] = {
    "S1": ("writing over HTTP", lambda trees, plan: WriteDuel(trees, plan.rounds, plan.seconds)),
    "S2": ("the engine in process", lambda trees, plan: EngineDuel(trees, plan.rounds, plan.seconds)),
    "S11": ("reading over HTTP", lambda trees, plan: ReadDuel(trees, plan.rounds, plan.seconds)),
}
"""One line adds a work."""


def duels(trees: Trees) -> dict[str, Entry]:
    """The works that compare two trees, whose names differ."""
    return {name: Entry(title, partial(make, trees)) for name, (title, make) in DUELS.items()}
