"""S5: pages of the audit trail over HTTP, as an officer asks for them, from logs of several sizes by turns."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random
from statistics import median
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import orjson
import psycopg

from bench import credentials, servers
from bench.grown import Grown, named
from bench.postgres import Postgres
from bench.progress import Tell
from bench.report import Fact, Goal, Report, Row
from bench.rounds import MeasurementError, Series, reading

WORK = "S5 officers' queries"
GROWTH = Goal("≤", 1.5)
PAGE = Goal("≤", 10)
"""Milliseconds."""
DRAWN = 1_000
"""Events from which the values asked for are taken, drawn evenly from the log."""
RARE = ("TaskFailed", "TaskCancelled", "TaskReleased", "TaskLeaseExpired", "TaskCompletionRejected")

NOTE = (
    f"{WORK}: pages of 100 (the default) over HTTP, one officer at a time, the logs by turns within a round; personal "
    "values opened; values asked for are those of events drawn at random from each log."
)


@dataclass(frozen=True)
class Drawn:
    """What an event names that can be asked for."""

    position: int
    time: datetime
    stream: str
    type: str
    actor: str
    correlation_id: str
    client_id: str

    def around(self, **length: float) -> dict[str, str]:
        """A stretch of time that ends just after the event."""
        until = self.time + timedelta(seconds=1)
        return {"from": (until - timedelta(**length)).isoformat(), "to": until.isoformat()}


Asked = tuple[str, Mapping[str, Any]]
"""A path and its query."""

EVENTS = "/audit/events"


def _timeline(drawn: Drawn) -> str:
    return f"/clients/{quote(drawn.client_id)}/timeline"


QUERIES: dict[str, Callable[[Drawn, Random], Asked]] = {
    "newest events": lambda drawn, random: (EVENTS, {"order": "desc"}),
    "by client, newest first": lambda drawn, random: (EVENTS, {"client_id": drawn.client_id, "order": "desc"}),
    "timeline, oldest first": lambda drawn, random: (_timeline(drawn), {}),
    "timeline, newest first": lambda drawn, random: (_timeline(drawn), {"order": "desc"}),
    "by actor, newest first": lambda drawn, random: (EVENTS, {"actor": drawn.actor, "order": "desc"}),
    "by type, oldest first": lambda drawn, random: (EVENTS, {"type": drawn.type}),
    "by three rare types, newest first": lambda drawn, random: (
        EVENTS, {"type": random.sample(RARE, 3), "order": "desc"},
    ),
    "by time, one hour": lambda drawn, random: (EVENTS, drawn.around(hours=1)),
    "by correlation": lambda drawn, random: (EVENTS, {"correlation_id": drawn.correlation_id}),
    "by stream": lambda drawn, random: (EVENTS, {"stream": drawn.stream}),
    "by client and type": lambda drawn, random: (
        EVENTS, {"client_id": drawn.client_id, "type": random.choice(RARE), "order": "desc"},
    ),
    "by client and actor": lambda drawn, random: (
        EVENTS, {"client_id": drawn.client_id, "actor": drawn.actor, "order": "desc"},
    ),
    "by actor and time, two hours": lambda drawn, random: (EVENTS, {"actor": drawn.actor, **drawn.around(hours=2)}),
    "by actor and type": lambda drawn, random: (EVENTS, {"actor": drawn.actor, "type": drawn.type, "order": "desc"}),
}  # fmt: skip
"""What an officer asks, from a drawn event."""

PAGED = ("newest events", "timeline, oldest first", "by actor, newest first", "by type, oldest first")
"""Of these the page after the next is asked for too, by cursor."""


def names() -> list[str]:
    """All queries, next pages included."""
    return [name for query in QUERIES for name in (query, *([next_page(query)] if query in PAGED else []))]


def next_page(query: str) -> str:
    """A query's next page."""
    return f"{query}: next page"


def at(query: str, events: int) -> str:
    """A contender's name."""
    return f"{query}, {named(events)}"


def rows(sizes: Sequence[int]) -> tuple[Row, ...]:
    """The comparisons: the largest log with the smallest."""
    return tuple(Row(WORK, "p99", at(query, sizes[-1]), at(query, sizes[0]), GROWTH) for query in names())


def aims(sizes: Sequence[int]) -> tuple[Row | Fact, ...]:
    """What is compared, and how long a page of the largest log may take."""
    return (*rows(sizes), *(page_time(query, sizes[-1]) for query in names()))


def page_time(query: str, events: int) -> Fact:
    """The time of a page, not yet measured."""
    return Fact(WORK, f"p99 of a page, {at(query, events)}", None, "ms", PAGE)


class Officer:
    """Asks one server, on one connection, about events drawn from its log."""

    def __init__(self, url: str, drawn: Sequence[Drawn], random: Random) -> None:
        plain, self._headers = credentials.split(url)
        self._connection = http.client.HTTPConnection(urlsplit(plain).netloc, timeout=30)
        self._drawn = drawn
        self._random = random

    def ask(self, query: str) -> Iterator[tuple[str, float]]:
        """Ask for a page, and the next one where that is asked for too; what was asked and the seconds it took."""
        path, parameters = QUERIES[query](self._random.choice(self._drawn), self._random)
        answer, seconds = self._get(path, parameters)
        yield query, seconds
        if query in PAGED and answer["next_cursor"] is not None:
            yield next_page(query), self._get(path, {**parameters, "cursor": answer["next_cursor"]})[1]

    def _get(self, path: str, parameters: Mapping[str, Any]) -> tuple[dict[str, Any], float]:
        target = f"{path}?{urlencode(parameters, doseq=True)}"
        began = time.perf_counter()
        self._connection.request("GET", target, headers=self._headers)
        answer = self._connection.getresponse()
        text = answer.read()
        seconds = time.perf_counter() - began
        if answer.status != 200:
            raise MeasurementError(f"GET {target} was answered {answer.status}: {text[:200].decode(errors='replace')}")
        found: dict[str, Any] = orjson.loads(text)
        if not found["events"] and found["next_cursor"] is None and not {"type", "actor"} & parameters.keys():
            raise MeasurementError(f"GET {target} found nothing, though its values were drawn from the log")
        return found, seconds

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


@dataclass(frozen=True)
class OfficersQueries:
    """The work: `asked` pages of each query, log and round. Sizes ascend."""

    sizes: Sequence[int]
    rounds: int
    asked: int = 200

    @property
    def steps(self) -> int:
        """How many steps of progress it tells."""
        return Grown.steps(self.sizes) + 1 + self.rounds

    @property
    def commands(self) -> list[str]:
        """How the load is made."""
        return [
            f"fidelog serve, one on each log; GET {EVENTS}?… and /clients/…/timeline, {self.asked} of each query a round"
        ]

    def run(self, postgres: Postgres, report: Report, tell: Tell) -> None:
        """Measure and report. Raises MeasurementError."""
        grown = Grown(postgres.logs)
        grown.build(self.sizes, tell)
        with grown.running() as server, _officers(grown, server, self.sizes, postgres) as officers:
            series = self._series(officers, tell)
        report.add(WORK, series, rows(self.sizes))
        report.facts += [_fact(series, query, self.sizes[-1]) for query in names()]
        report.notes += [NOTE, *grown.notes]

    def _series(self, officers: Mapping[int, Officer], tell: Tell) -> Series:
        series = Series([at(query, events) for query in names() for events in self.sizes])
        tell("warming up")
        for query in QUERIES:
            _ask(officers, query, max(10, self.asked // 10))
        for number in range(self.rounds):
            tell(f"round {number + 1} of {self.rounds}: {self.asked} of each of {len(names())} queries on each log")
            for query in QUERIES:
                series.disturbance.pause()
                times = _ask(officers, query, self.asked)
                share = series.disturbance.loaded()
                for name, found in times.items():
                    series.readings[name].append(reading(found, sum(found)))
                    series.stolen[name].append(share)
        return series


def _ask(officers: Mapping[int, Officer], query: str, number: int) -> dict[str, list[float]]:
    """Ask each officer so many times, by turns; the times by contender."""
    times: dict[str, list[float]] = {}
    for _ in range(number):
        for events, officer in officers.items():
            for asked, seconds in officer.ask(query):
                times.setdefault(at(asked, events), []).append(seconds)
    return times


def _fact(series: Series, query: str, events: int) -> Fact:
    name = at(query, events)
    p99s = tuple(1000 * value for value in series.values(name, "p99"))
    p50 = f"p50 {1000 * series.median(name, 'p50'):.2f} ms"
    return replace(page_time(query, events), value=median(p99s), against=p50, rounds=p99s)


@contextmanager
def _officers(grown: Grown, server: Postgres, sizes: Sequence[int], postgres: Postgres) -> Iterator[dict[int, Officer]]:
    """An officer for each log, and a server of its own for each."""
    with ExitStack() as stack:
        officers = {}
        for events in sizes:
            settings = server.settings(grown.database(server, events))
            url = stack.enter_context(servers.fidelog_on(named(events), postgres.folder, settings))
            officer = Officer(url, drawn_from(server.url(grown.name(events)), events), Random(events))
            stack.callback(officer.close)
            officers[events] = officer
        yield officers


DRAW = """
    SELECT position, recorded_at, stream, type, actor, correlation_id, subjects[1]
    FROM fidelog.events WHERE tenant_id = 'default' AND position = ANY (%s) ORDER BY position"""


def drawn_from(url: str, events: int) -> list[Drawn]:
    """Events of a log of so many, the same every time."""
    positions = Random(DRAWN).sample(range(1, events + 1), min(DRAWN, events))
    with psycopg.connect(url) as connection:
        return [Drawn(*row) for row in connection.execute(DRAW, (positions,))]
