"""S1: `POST /clients` over HTTP, ours against the plain service, the article's code and the framework's ceiling."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from bench import http_load, servers
from bench.http_load import POST_CLIENTS, HttpLoad
from bench.one_write import OneWrite
from bench.postgres import Postgres
from bench.progress import Tell
from bench.report import Goal, Report, Row
from bench.rounds import MeasurementError, alternate, alternate_warm

OURS = "Fidelog"
PLAIN = "(a) plain CRUD"
ARTICLE = "(b) the article's code"
PLAIN_AUTOCOMMIT = "(a) in autocommit"
PLAIN_LEAN = "(a) through our hot route"
EMPTY = "(c) empty route"

MANY = "S1 POST /clients, 128 connections"
ONE = "S1 POST /clients, one at a time"

MANY_ROWS = (
    Row(MANY, "rate", OURS, PLAIN, Goal("≥", 2.0)),
    Row(MANY, "rate", OURS, ARTICLE, Goal("≥", 8.0)),
    Row(MANY, "rate", OURS, EMPTY, Goal("≥", 0.8)),
    Row(MANY, "p99", OURS, PLAIN, Goal("≤", 1.0)),
    Row(MANY, "p50", OURS, PLAIN),
    Row(MANY, "rate", OURS, PLAIN_AUTOCOMMIT),
    Row(MANY, "rate", OURS, PLAIN_LEAN),
)
ONE_ROWS = (Row(ONE, "p50", OURS, PLAIN, Goal("≤", 2.0)),)
ROWS = (*MANY_ROWS, *ONE_ROWS)

NOTE = (
    "S1: (a) writes as psycopg_pool's pool does by default, BEGIN, statement and COMMIT in three round trips; the goal is "
    "about that one. In autocommit, for information, the same statement goes in one."
)

ONE_SECONDS = 1.5

STORED = {OURS: ("fidelog", "fidelog.events"), PLAIN: ("plain_crud", "client_profiles"),
          PLAIN_AUTOCOMMIT: ("plain_autocommit", "client_profiles"), PLAIN_LEAN: ("plain_lean", "client_profiles"),
          ARTICLE: ("article", "client_profiles")}  # fmt: skip
"""Where each contender's writes must be found: database, table."""


@dataclass(frozen=True)
class WriteLoad:
    """The work: how often and how long."""

    rounds: int
    seconds: float

    @property
    def steps(self) -> int:
        """How many steps of progress it tells."""
        return 1 + (6 + 6 * self.rounds if http_load.available() else 0) + 2 * self.rounds

    @property
    def commands(self) -> list[str]:
        """How the load was made."""
        return [" ".join(http_load.command("http://127.0.0.1:PORT", self.seconds, POST_CLIENTS, 1)), *SERVED]

    def run(self, postgres: Postgres, report: Report, tell: Tell) -> None:
        """Measure and report. Raises MeasurementError."""
        tell("starting the servers")
        with _served(postgres) as urls:
            if http_load.available():
                self._many(postgres, urls, report, tell)
            else:
                report.rows += http_load.not_run(MANY_ROWS)
            self._one(urls, report, tell)

    def _many(self, postgres: Postgres, urls: dict[str, str], report: Report, tell: Tell) -> None:
        contenders = [HttpLoad(name, url) for name, url in urls.items()]
        series = alternate_warm(contenders, self.rounds, self.seconds, tell)
        report.add(MANY, series, MANY_ROWS)
        report.notes += [NOTE, *(_stored(postgres, one) for one in contenders if one.name in STORED)]

    def _one(self, urls: dict[str, str], report: Report, tell: Tell) -> None:
        with ExitStack() as stack:
            callers = [stack.enter_context(OneWrite(name, urls[name])) for name in (OURS, PLAIN)]
            series = alternate(callers, self.rounds, ONE_SECONDS, lambda message: tell(f"one at a time, {message}"))
        report.add(ONE, series, ONE_ROWS)


SERVED = (
    "fidelog serve --port PORT",
    f"uvicorn bench.peers.<peer>:app {' '.join(servers.UVICORN)} --port PORT",
)


@contextmanager
def _served(postgres: Postgres) -> Iterator[dict[str, str]]:
    """All six servers running side by side; their URLs."""
    folder = postgres.folder
    with ExitStack() as stack:
        start = stack.enter_context
        yield {
            OURS: start(servers.fidelog(folder, postgres.data_dir, postgres.state_dir)),
            PLAIN: start(servers.peer("plain_crud", folder, postgres.create("plain_crud"))),
            PLAIN_AUTOCOMMIT: start(servers.peer("plain_autocommit", folder, postgres.create("plain_autocommit"))),
            PLAIN_LEAN: start(servers.peer("plain_lean", folder, postgres.create("plain_lean"))),
            ARTICLE: start(servers.peer("article", folder, postgres.create("article"))),
            EMPTY: start(servers.peer("empty_route", folder)),
        }


def _stored(postgres: Postgres, contender: HttpLoad) -> str:
    """What was answered is stored. Raises MeasurementError when it is not."""
    database, table = STORED[contender.name]
    rows = int(postgres.row(f"SELECT count(*) FROM {table}", database)[0])
    if rows < contender.answered:
        raise MeasurementError(f"{contender.name} answered {contender.answered} writes and stored {rows}")
    return f"{contender.name}: {contender.answered:,} writes answered, {rows:,} rows in {table}"
