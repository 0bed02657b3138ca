"""Tails: readers that follow the log by position, each with its own checkpoint, never on the write path.

A tail works on a timer; a wake-up only shortens its wait, and missing one loses nothing. Its handler writes in the same
transaction as the checkpoint, so an event is handled once however often the process dies. An event that cannot be
handled stops the tail exactly before it: the fault is kept and recorded, and the event is tried again at every turn.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import psycopg
from psycopg import AsyncRawCursor

from eventstore.following import Following
from eventstore.reading import READ_FORWARD
from eventstore.records import RecordedEvent
from eventstore.rows import Decoder, recorded_event
from eventstore.sessions import begun
from eventstore.statements import Statement, statement

SESSION = statement("projections", "tail_session")
OPEN = statement("projections", "open_tail")
LOOK = statement("projections", "look_at_log")
LOCK_CHECKPOINT = statement("projections", "lock_tail_checkpoint")
SAVE_CHECKPOINT = statement("projections", "save_tail_checkpoint")
SAVE_FAULT = statement("projections", "save_tail_fault")

Connection = psycopg.AsyncConnection[tuple[Any, ...]]

Handler = Callable[[Connection, int, int], Awaitable[int]]
"""Handles the first events after a position, at most so many; gives the last one's position."""

EventHandler = Callable[[Connection, Sequence[RecordedEvent]], Awaitable[None]]


async def connect(keeper_url: str, tenant_id: str) -> Connection:
    """A keeper's session that sees the tenant's rows.

    Nothing is prepared: a plan kept from when a table was empty would scan it when it has grown.
    """
    connection: Connection = await psycopg.AsyncConnection.connect(
        keeper_url, autocommit=True, cursor_factory=AsyncRawCursor, prepare_threshold=None
    )
    return await begun(connection, SESSION.sql.encode(), tenant_id)


def decoding(tenant_id: str, codec: Decoder, handler: EventHandler) -> Handler:
    """A handler of decoded events. An event this code cannot decode fails like one that cannot be handled."""

    async def handle(connection: Connection, after: int, limit: int) -> int:
        cursor = await _execute(connection, READ_FORWARD, tenant_id, after, limit)
        events = [recorded_event(row, codec) for row in await cursor.fetchall()]
        if not events:
            return after
        await handler(connection, events)
        return events[-1].position

    return handle


class Tail(Following):
    """Follows one tenant's log under `name`, in batches."""

    def __init__(
        self, name: str, tenant_id: str, handler: Handler, *, batch: int = 5_000, every: float = 0.5, rest: float = 0.05
    ) -> None:
        super().__init__(name, tenant_id, every=every, rest=rest)
        self._handler = handler
        self._batch = self._size = batch

    async def run(self, keeper_url: str) -> None:
        """Follow for ever; connects again when the connection is lost."""
        while True:
            try:
                async with await connect(keeper_url, self.tenant_id) as connection:
                    await _execute(connection, OPEN, self.tenant_id, self.name)
                    while True:
                        more = await self.turn(connection)
                        self._tell()
                        if not more:
                            await self._pause()
            except Exception as error:
                self._stand(error, "without a connection", trace=not isinstance(error, psycopg.OperationalError))
            await self._pause()

    async def turn(self, connection: Connection) -> bool:
        """Look, and handle a batch if there is something new; whether the next turn should follow at once.

        After a failure batches begin again at one event, so the tail gets as far as it can: what fails alone stops it.
        Raises only when the connection is lost.
        """
        cursor = await _execute(connection, LOOK, self.tenant_id, self.name)
        row = await cursor.fetchone()
        assert row is not None, "the checkpoint was made when the session began"
        before = self.head
        self.position, self.head, recorded = row
        if self.head > before:
            for other in self.wakes:
                other.wake()
        if self.position >= self.head:
            self.fault = None
            return False
        try:
            handled = await self.step(connection)
        except Exception as error:
            if connection.closed:
                raise
            return await self._failed(connection, error, recorded)
        self._size = min(2 * self._size, self._batch)
        self.fault = None
        return handled > 0 and self.position < self.head

    async def step(self, connection: Connection) -> int:
        """Handle the next batch; how many positions the tail moved. Raises what the handler raises, and nothing is saved.

        The checkpoint's row lock keeps a second process with the same tail from handling the batch too.
        """
        async with connection.transaction():
            cursor = await _execute(connection, LOCK_CHECKPOINT, self.tenant_id, self.name)
            row = await cursor.fetchone()
            assert row is not None, "the checkpoint was made when the session began"
            after = int(row[0])
            self._reached(after)
            last = await self._handler(connection, after, self._size)
            if last > after:
                await _execute(connection, SAVE_CHECKPOINT, self.tenant_id, self.name, last)
        self._reached(last)
        return last - after

    async def _failed(self, connection: Connection, error: Exception, recorded: str | None) -> bool:
        """Try again with a single event; if it was one, stand still and say so where every process can read it."""
        if self._size > 1:
            self._size = 1
            return True
        fault = self._stand(error, f"at position {self.position + 1}")
        if fault != recorded:
            await _execute(connection, SAVE_FAULT, self.tenant_id, self.name, fault, self.position)
        return False


async def _execute(connection: Connection, wanted: Statement, *parameters: Any) -> psycopg.AsyncCursor[tuple[Any, ...]]:
    return await connection.execute(wanted.sql.encode(), parameters)
