"""Reading the log: a stream, a range, from a position on; and the connections that read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import psycopg
from psycopg import AsyncRawCursor
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from eventstore.errors import DatabaseUnavailable
from eventstore.records import RecordedEvent
from eventstore.rows import Decoder, recorded_event
from eventstore.session import SET_TENANT, NotRead, Rows
from eventstore.sessions import Sessions
from eventstore.statements import Statement, statement

READ_FORWARD = statement("eventstore", "read_forward")
READ_STREAM_END = statement("eventstore", "read_stream_end")
READ_COMMAND = statement("eventstore", "read_command")
READ_STREAMS_UNTIL = statement("eventstore", "read_streams_until")
SHARE_LOCK = statement("eventstore", "share_lock")
CLOCK_AGAINST = statement("eventstore", "clock_against")
POSITION_AT = statement("eventstore", "position_at")
HEAD = statement("eventstore", "head")


MAX_POSITION = 2**63 - 1

PLANNED = "SET plan_cache_mode = force_custom_plan"
"""A plan kept from when the tables were empty may walk another index for ever. Parsing is done once all the same."""


class NotYet(Exception):
    """A position above the head, or a time that has not passed: what will have happened then is not known."""


class Connection(psycopg.AsyncConnection[tuple[Any, ...]]):
    """A connection that remembers the tenant its session names."""

    tenant_id: str | None = None


class Reader:
    """Connections of one login that read, each remembering whose rows it may see.

    Reads by key share up to `sessions` sessions, on which many are under way at a time; those that are planned for their
    values share as many others. What needs a transaction has one of up to `size` connections to itself meanwhile.
    """

    def __init__(
        self, url: str, sessions: int = 4, size: int = 4, wait_seconds: float = 3.0, patience: float = 10.0
    ) -> None:
        self.answered = 0.0
        """When the last read was answered, by the event loop's clock."""
        self._wait_seconds = wait_seconds
        self._kept = Sessions(url, sessions, wait_seconds, patience)
        self._planned = Sessions(url, sessions, wait_seconds, patience, PLANNED)
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            url,
            connection_class=Connection,
            min_size=0,
            max_size=size,
            timeout=wait_seconds,
            open=False,
            reset=None,
            kwargs={"autocommit": True, "cursor_factory": AsyncRawCursor, "prepare_threshold": 0},
        )

    async def open(self) -> None:
        """Start connecting; the first read waits for a session."""
        self._kept.connect_soon()
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """Close all connections."""
        self._kept.close()
        self._planned.close()
        await self._pool.close(timeout=1.0)

    @asynccontextmanager
    async def connection(self, tenant_id: str) -> AsyncIterator[Connection]:
        """A connection that sees the tenant's rows (P9), for one caller. Raises DatabaseUnavailable."""
        try:
            async with self._pool.connection() as connection:
                if connection.tenant_id != tenant_id:
                    await connection.execute(SET_TENANT.sql.encode(), (tenant_id,))
                    connection.tenant_id = tenant_id
                yield connection
        except (psycopg.OperationalError, PoolTimeout) as error:
            raise DatabaseUnavailable("the database does not answer") from error

    async def rows_once(self, tenant_id: str, wanted: Statement, parameters: Sequence[Any]) -> Rows:
        """As `rows`, tried once: whoever asks wants to know whether the database answers. Raises DatabaseUnavailable."""
        try:
            return await (await self._kept.least_busy()).rows(tenant_id, wanted, parameters, alone=True)
        except (NotRead, psycopg.OperationalError) as error:
            raise DatabaseUnavailable("the database does not answer") from error

    async def rows(self, tenant_id: str, wanted: Statement, parameters: Sequence[Any]) -> Rows:
        """All rows of one statement, which is prepared; its plan may be kept. Raises DatabaseUnavailable."""
        return await self._rows(self._kept, tenant_id, wanted, parameters)

    async def rows_planned(self, tenant_id: str, wanted: Statement, parameters: Sequence[Any]) -> Rows:
        """All rows of one statement that is planned for its values every time, on sessions of their own: who reads by
        key does not wait for it. Raises DatabaseUnavailable."""
        return await self._rows(self._planned, tenant_id, wanted, parameters)

    async def _rows(self, sessions: Sessions, tenant_id: str, wanted: Statement, parameters: Sequence[Any]) -> Rows:
        """What was not read is asked again, as often as there are sessions: all of them may have ended at once, and each
        tells it only when it is asked. After `wait_seconds` that is done once and no more. Raises DatabaseUnavailable.
        """
        clock = asyncio.get_running_loop().time
        started, again = clock(), 0
        while True:
            try:
                found = await (await sessions.least_busy()).rows(tenant_id, wanted, parameters, alone=again > 0)
                self.answered = clock()
                return found
            except NotRead as error:
                again += 1
                late = again > 1 and clock() - started > self._wait_seconds
                if late or again > sessions.most:
                    raise DatabaseUnavailable("the database does not answer") from error
            except psycopg.OperationalError as error:
                raise DatabaseUnavailable("the database does not answer") from error

    @property
    def busy(self) -> int:
        """How many results its sessions await."""
        return self._kept.busy + self._planned.busy


class Log:
    """The events of every tenant, read in order."""

    def __init__(self, reader: Reader, codec: Decoder) -> None:
        self._reader = reader
        self._codec = codec

    async def head(self, tenant_id: str) -> int:
        """The newest position; 0 in an empty log."""
        return int((await self._reader.rows(tenant_id, HEAD, (tenant_id,)))[0][0])

    async def position_at(self, tenant_id: str, at: datetime) -> int:
        """The newest position recorded at or before `at`; the same whenever it is asked. Raises NotYet.

        While a batch may still be written that was recorded by then, its end is waited for: it holds the tenant's
        lock, and whatever takes the lock afterwards is recorded after `at`.
        """
        async with self._reader.connection(tenant_id) as connection, connection.transaction():
            past, recent = await _row(connection, CLOCK_AGAINST, (at,))
            if past and recent:
                await _row(connection, SHARE_LOCK, (tenant_id,))
            if not past:
                raise NotYet
            (position,) = await _row(connection, POSITION_AT, (tenant_id, at))
            return int(position)

    async def streams_until(self, tenant_id: str, streams: Sequence[str], position: int) -> list[RecordedEvent]:
        """All events of the streams at positions up to `position`, stream by stream."""
        return await self._events(tenant_id, READ_STREAMS_UNTIL, (tenant_id, list(streams), position))

    async def forward(self, tenant_id: str, *, after: int = 0, limit: int = 500) -> list[RecordedEvent]:
        """Events at positions above `after`, in order."""
        return await self._events(tenant_id, READ_FORWARD, (tenant_id, after, limit))

    async def stream_end(self, tenant_id: str, stream: str, limit: int) -> list[RecordedEvent]:
        """The newest events of a stream, the newest first."""
        return await self._events(tenant_id, READ_STREAM_END, (tenant_id, stream, limit))

    async def command(self, tenant_id: str, stream: str, version: int) -> list[RecordedEvent]:
        """All events of the command that appended the event at (stream, version)."""
        return await self._events(tenant_id, READ_COMMAND, (tenant_id, stream, version))

    async def _events(self, tenant_id: str, wanted: Statement, parameters: Sequence[Any]) -> list[RecordedEvent]:
        rows = await self._reader.rows(tenant_id, wanted, parameters)
        return [recorded_event(row, self._codec) for row in rows]


async def _row(connection: Connection, wanted: Statement, parameters: Sequence[Any]) -> tuple[Any, ...]:
    """The statement's one row. Raises DatabaseUnavailable when it gives none."""
    row = await (await connection.execute(wanted.sql.encode(), parameters)).fetchone()
    if row is None:
        raise DatabaseUnavailable(f"{wanted.name} gave no row; run fidelog migrate")
    return row
