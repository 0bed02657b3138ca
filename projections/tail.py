"""Tails: readers that follow the log by position, each with its own checkpoint, never on the write path.

A tail works on a timer; a wake-up only shortens its wait, and missing one loses nothing. Its handler writes in the same
transaction as the checkpoint, so an event is handled once however often the process dies. A handler that fails stops
the tail at its position: the fault is kept to be shown, and tried again at the next turn.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import psycopg
from psycopg import AsyncRawCursor

from eventstore.reading import READ_FORWARD, SET_TENANT
from eventstore.records import RecordedEvent
from eventstore.rows import Decoder, recorded_event
from eventstore.statements import statement

LOCK_CHECKPOINT = statement("projections", "lock_tail_checkpoint")
SAVE_CHECKPOINT = statement("projections", "save_tail_checkpoint")

log = logging.getLogger(__name__)

Connection = psycopg.AsyncConnection[tuple[Any, ...]]
Handler = Callable[[Connection, Sequence[RecordedEvent]], Awaitable[None]]


class Tail:
    """Follows one tenant's log under `name`, giving events to `handler` in order, in batches."""

    def __init__(
        self, name: str, tenant_id: str, handler: Handler, codec: Decoder, *, batch: int = 500, every: float = 0.25
    ) -> None:
        self.name = name
        self.tenant_id = tenant_id
        self.position = 0
        """The last event handled, as far as this process knows."""
        self.fault: Exception | None = None
        """Why the tail stands still, if it does."""
        self._handler = handler
        self._codec = codec
        self._batch = batch
        self._every = every
        self._wake = asyncio.Event()
        self._started = False

    def wake(self) -> None:
        """Shorten the wait: there is something new."""
        self._wake.set()

    async def run(self, keeper_url: str) -> None:
        """Follow for ever; connects again when the connection is lost."""
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    keeper_url, autocommit=True, cursor_factory=AsyncRawCursor
                ) as connection:
                    await self._follow(connection)
            except Exception as fault:
                if self.fault is None:
                    log.exception("tail %s stands at position %d", self.name, self.position)
                self.fault = fault
                await self._pause()

    async def _follow(self, connection: Connection) -> None:
        while True:
            if not await self.step(connection):
                await self._pause()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._every):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    async def step(self, connection: Connection) -> int:
        """Handle the next batch; how many events there were. Raises what the handler raises, and nothing is saved.

        The checkpoint's row lock keeps a second process with the same tail from handling the batch too. It is taken
        only when there is something new: an idle tail writes nothing.
        """
        if self._started and not await self._read(connection, self.position, 1):
            return 0
        async with connection.transaction():
            await connection.execute(SET_TENANT.sql.encode(), (self.tenant_id,))
            cursor = await connection.execute(LOCK_CHECKPOINT.sql.encode(), (self.tenant_id, self.name))
            row = await cursor.fetchone()
            assert row is not None, "the statement gives the checkpoint it found or made"
            after: int = row[0]
            events = await self._read(connection, after, self._batch)
            if events:
                await self._handler(connection, events)
                after = events[-1].position
                await connection.execute(SAVE_CHECKPOINT.sql.encode(), (self.tenant_id, self.name, after))
        self.position, self.fault, self._started = after, None, True
        return len(events)

    async def _read(self, connection: Connection, after: int, limit: int) -> list[RecordedEvent]:
        await connection.execute(SET_TENANT.sql.encode(), (self.tenant_id,))
        cursor = await connection.execute(READ_FORWARD.sql.encode(), (self.tenant_id, after, limit))
        return [recorded_event(found, self._codec) for found in await cursor.fetchall()]
