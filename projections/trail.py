"""The audit trail by filters: pages of the log whose cost does not depend on how long the log is.

One filter drives: it walks one index in order and gives candidates; the others are checked on each. What only a stream
or nothing restricts is read from the log itself, everything else from the officer's index, which a tail fills.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from importlib import resources
from typing import Any, Literal

from psycopg import sql
from psycopg.types.numeric import Int8

from eventstore.reading import MAX_POSITION, READ_FORWARD, Reader
from eventstore.records import RecordedEvent
from eventstore.rows import Undecoded, recorded_event
from eventstore.statements import Statement, statement
from eventstore.vault.keys import DataKey
from eventstore.vault.vault import KeyRow, Vault
from projections.queries import by_key_id

TIMES = statement("projections", "positions_at")
VERSION_BOUNDS = statement("projections", "version_bounds")

MAX_EXAMINED = 5_000
"""Candidates looked at for one page, at most. A page that is not full by then ends early."""

Order = Literal["asc", "desc"]
Driver = Literal["correlation_id", "decision_id", "client_id", "stream", "actor", "types", "type", "position"]


def _text(name: str) -> sql.SQL:
    path = resources.files("projections").joinpath("sql", "trail", f"{name}.sql")
    return sql.SQL(path.read_text(encoding="utf-8").strip())


PAGE = _text("page")
REACHED = {True: _text("reached_by_index"), False: _text("reached_by_log")}
"""How far the list's source has got: the index, or the log itself."""
DRIVERS: dict[Driver, sql.SQL] = {
    "correlation_id": _text("by_correlation_id"),
    "decision_id": _text("by_decision_id"),
    "client_id": _text("by_client_id"),
    "stream": _text("by_stream"),
    "actor": _text("by_actor"),
    "types": _text("by_types"),
    "type": _text("by_type"),
    "position": _text("by_position"),
}
"""Each gives `place` (what it is ordered by), `position`, and the columns that filters after it in the order ask for."""

CHECKS: dict[str, sql.SQL] = {
    "decision_id": sql.SQL("driven.decision_id IS NOT DISTINCT FROM {}"),
    "client_id": sql.SQL(
        "EXISTS (SELECT 1 FROM fidelog.audit_index AS about WHERE about.tenant_id = $1 AND about.subject = {}"
        " AND about.position = driven.position)"
    ),
    "stream": sql.SQL("driven.stream = {}"),
    "actor": sql.SQL("driven.actor = {}"),
    "types": sql.SQL("driven.type = ANY ({}::text[])"),
    "type": sql.SQL("driven.type = {}"),
}


@dataclass(frozen=True, slots=True)
class Filters:
    """Which events; all that are given must hold. `since` is inclusive, `until` exclusive, on recorded_at."""

    client_id: str | None = None
    actor: str | None = None
    types: tuple[str, ...] = ()
    """Any of them, each once."""
    stream: str | None = None
    correlation_id: str | None = None
    decision_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def given(self) -> dict[Driver, Any]:
        """The filters by value, the one that drives first: what names the fewest events stands before the others."""
        found: dict[Driver, Any] = {
            "correlation_id": self.correlation_id,
            "decision_id": self.decision_id,
            "client_id": self.client_id,
            "stream": self.stream,
            "actor": self.actor,
            "type": self.types[0] if len(self.types) == 1 else None,
            "types": list(self.types) if len(self.types) > 1 else None,
        }
        return {name: value for name, value in found.items() if value is not None}

    @property
    def driver(self) -> Driver:
        """The filter that gives the candidates."""
        return next(iter(self.given), "position")

    @property
    def indexed(self) -> bool:
        """Whether the index answers; otherwise the log itself does."""
        return _indexed(self.driver)


@dataclass(frozen=True, slots=True)
class Page:
    """Events in order, and the living keys of those they are about, by id; the position after which the next page
    begins, if there may be one; how far the list's source had got. All of one moment."""

    events: list[RecordedEvent]
    keys: dict[str, DataKey]
    next: int | None
    reached: int


_EVENT, _SUBJECT, _KEY = slice(4, 22), 22, slice(22, 26)
"""Where the columns of a page's row lie."""


class Trail:
    """The audit trail of every tenant. `max_examined` bounds the candidates of one page."""

    def __init__(self, reader: Reader, vault: Vault, max_examined: int = MAX_EXAMINED) -> None:
        self._reader = reader
        self._vault = vault
        self.max_examined = max_examined

    async def event(self, tenant_id: str, position: int) -> RecordedEvent | None:
        """The event at the position."""
        rows = await self._reader.rows(tenant_id, READ_FORWARD, (tenant_id, position - 1, 1))
        return recorded_event(rows[0], Undecoded()) if rows and rows[0][1] == position else None

    async def page(
        self, tenant_id: str, filters: Filters, order: Order, *, cursor: int | None = None, limit: int = 100
    ) -> Page:
        """The first `limit` events in order, those after the position `cursor` if one is given.

        A page may hold fewer events than there are, even none: then `next` says where to go on. Raises
        DatabaseUnavailable.
        """
        after, below = await self._times(tenant_id, filters)
        if cursor is not None:
            after, below = (max(after, cursor), below) if order == "asc" else (after, min(below, cursor))
        if filters.driver == "stream":
            after, below = await self._versions(tenant_id, filters, after, below)
        bound = self._bound(filters, limit)
        wanted, parameters = page_statement(filters, order, after=after, below=below, bound=bound, limit=limit + 1)
        found = await self._reader.rows_planned(tenant_id, wanted, (tenant_id, *parameters))
        reached, rows = found[0][0], [row for row in found if row[1] is not None]
        keys = by_key_id(
            self._vault.key_of(tenant_id, KeyRow(*row[_KEY])) for row in found if row[_SUBJECT] is not None
        )
        events = [recorded_event(row[_EVENT], Undecoded()) for row in rows if row[2]]
        if len(events) > limit:
            return Page(events[:limit], keys, events[limit - 1].position, reached)
        exhausted = not rows or rows[-1][3] < bound
        return Page(events, keys, None if exhausted else rows[-1][1], reached)

    def _bound(self, filters: Filters, limit: int) -> int:
        """How many candidates to ask for: no more than a page when all are wanted."""
        return limit + 1 if len(filters.given) <= 1 else self.max_examined

    async def _times(self, tenant_id: str, filters: Filters) -> tuple[int, int]:
        """The positions that the times leave, exclusive both.

        P3: recorded_at never goes back. The events before a time are those at or before the microsecond before it.
        """
        if filters.since is None and filters.until is None:
            return 0, MAX_POSITION
        times = [_before(time) for time in (filters.since, filters.until)]
        since, until = (await self._reader.rows(tenant_id, TIMES, (tenant_id, *times)))[0]
        return since or 0, MAX_POSITION if until is None else until + 1

    async def _versions(self, tenant_id: str, filters: Filters, after: int, below: int) -> tuple[int, int]:
        """The same bounds as versions of the stream. P4: versions follow positions."""
        if (after, below) == (0, MAX_POSITION):
            return after, below
        rows = await self._reader.rows(tenant_id, VERSION_BOUNDS, (tenant_id, filters.stream, after, below - 1))
        return rows[0][0], rows[0][1] + 1


def _before(time: datetime | None) -> datetime | None:
    if time is None or time <= _FIRST:
        return time
    return time - timedelta(microseconds=1)


_FIRST = datetime.min.replace(tzinfo=UTC)


def page_statement(filters: Filters, order: Order, **numbers: int) -> tuple[Statement, Sequence[Any]]:
    """The statement of a page and its parameters from $2 on. `numbers`: after, below, bound, limit; of one type whatever
    their size, or a statement would be prepared for each mixture."""
    given = filters.given
    return _page(tuple(given), order, tuple(numbers)), [*map(Int8, numbers.values()), *given.values()]


@lru_cache(maxsize=512)
def _page(given: tuple[Driver, ...], order: Order, numbers: tuple[str, ...]) -> Statement:
    """The text for filters of these names: a page's values are parameters, in the order of the numbers and the filters."""
    driver, *others = given or ("position",)
    fragments: dict[str, sql.Composable] = {"order": sql.SQL("ASC" if order == "asc" else "DESC")}
    fragments |= {name: sql.SQL(f"${place}::bigint") for place, name in enumerate(numbers, 2)}
    values = {name: sql.SQL(f"${place}") for place, name in enumerate(given, 2 + len(numbers))}
    checks = [CHECKS[name].format(values[name]) for name in others]
    driven = DRIVERS[driver].format(**fragments, **{driver: values[driver]} if values else {})
    text = PAGE.format(
        **fragments,
        driver=driven,
        reached=REACHED[_indexed(driver)],
        wanted=sql.SQL(" AND ").join(checks) if checks else sql.SQL("true"),
    ).as_string()
    return Statement(f"page_by_{driver}", text)


def _indexed(driver: Driver) -> bool:
    return driver not in {"stream", "position"}
