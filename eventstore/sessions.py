"""The sessions of one login that read: few, shared, connected as they are needed and again when they were lost."""

from __future__ import annotations

import asyncio
from operator import attrgetter
from typing import Any, LiteralString, TypeVar

import psycopg

from eventstore.errors import DatabaseUnavailable
from eventstore.session import Session

RETRY_PAUSE = 0.05
_BUSY = attrgetter("busy")

C = TypeVar("C", bound=psycopg.AsyncConnection[Any])


async def begun(connection: C, first: LiteralString | bytes, *parameters: Any) -> C:
    """The new connection after its first statement. When that fails, or is cancelled, the connection is closed: nobody else
    knows of it yet. Raises psycopg.Error."""
    try:
        await connection.execute(first, parameters or None)
    except BaseException:
        await connection.close()
        raise
    return connection


class Sessions:
    """At most `most` of them; each begins with `setting`, if there is one."""

    def __init__(self, url: str, most: int, wait_seconds: float, patience: float, setting: LiteralString = "") -> None:
        self.most = most
        self._url = url
        self._wait_seconds = wait_seconds
        self._patience = patience
        self._setting = setting
        self._sessions: list[Session] = []
        self._connecting: asyncio.Task[None] | None = None

    @property
    def busy(self) -> int:
        """How many results they await."""
        return sum(session.busy for session in self._sessions)

    def close(self) -> None:
        """Close all; whatever is awaited was not read."""
        if self._connecting is not None:
            self._connecting.cancel()
        for session in tuple(self._sessions):
            session.lose(psycopg.OperationalError("the reader is closed"))

    async def least_busy(self) -> Session:
        """The least busy session. While all are busy, one more is connected."""
        if not self._sessions:
            await asyncio.shield(self.connect_soon())
        session = min(self._sessions, key=_BUSY)
        if session.busy and len(self._sessions) < self.most:
            self.connect_soon()
        return session

    def connect_soon(self) -> asyncio.Task[None]:
        """Connect one more, unless that is under way."""
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._connect(), name="reader-connects")
            self._connecting.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._connecting

    async def _connect(self) -> None:
        """Add a session; tries for `wait_seconds`. Raises DatabaseUnavailable."""
        try:
            async with asyncio.timeout(self._wait_seconds):
                while True:
                    try:
                        connection = await self._connected()
                    except psycopg.OperationalError:
                        await asyncio.sleep(RETRY_PAUSE)
                    else:
                        self._sessions.append(Session(connection, self._sessions.remove, self._patience))
                        return
        except TimeoutError as error:
            raise DatabaseUnavailable("the database does not answer") from error
        finally:
            self._connecting = None

    async def _connected(self) -> psycopg.AsyncConnection[tuple[Any, ...]]:
        connection = await psycopg.AsyncConnection.connect(self._url, autocommit=True)
        return await begun(connection, self._setting) if self._setting else connection
