"""Two servers, each of several loads asked of both: what the works that do so have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import ClassVar

from bench import http_load
from bench.http_load import HttpLoad, Requests
from bench.postgres import Postgres
from bench.progress import Tell
from bench.report import Report, Row
from bench.rounds import alternate_warm


@dataclass(frozen=True)
class HttpComparison(ABC):
    """The work: how often and how long."""

    rounds: int
    seconds: float

    url: ClassVar[str]
    """As it is shown, in place of the servers' own."""
    rows: ClassVar[Mapping[str, Sequence[Row]]]
    """Load → what is compared."""
    loads: ClassVar[Mapping[str, Requests]]

    @property
    def steps(self) -> int:
        """How many steps of progress it tells."""
        return 1 + len(self.loads) * (2 + 2 * self.rounds) if http_load.available() else 0

    @property
    def commands(self) -> list[str]:
        """How the loads are made."""
        return [" ".join(http_load.command(self.url, self.seconds, load, 1)) for load in self.loads.values()]

    @abstractmethod
    def served(self, postgres: Postgres, report: Report) -> AbstractContextManager[Mapping[str, str]]:
        """The servers, running, with what is read: their URLs by the contenders' names."""

    def run(self, postgres: Postgres, report: Report, tell: Tell) -> None:
        """Measure and report. Raises MeasurementError."""
        if not http_load.available():
            report.rows += http_load.not_run(row for rows in self.rows.values() for row in rows)
            return
        tell("writing what is read")
        with self.served(postgres, report) as urls:
            for title, load in self.loads.items():
                contenders = [HttpLoad(name, url, load) for name, url in urls.items()]
                report.add(title, alternate_warm(contenders, self.rounds, self.seconds, tell), self.rows[title])
