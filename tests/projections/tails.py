"""Tails of a test: sessions, handlers that remember or fail, and a tail that runs meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from eventstore.database import Database
from eventstore.records import RecordedEvent
from projections import tail
from projections.codec import Codec
from projections.tail import Connection, EventHandler, Tail
from tests.clusters import Cluster
from tests.eventstore.writer.harness import TENANT, envelope, vault_of, writing

CHECKPOINT = "SELECT position, fault FROM fidelog.tail_checkpoints WHERE name = 't'"


async def write(pg: Cluster, database: Database, number: int) -> None:
    """Append events."""
    vault = await vault_of(pg, database)
    async with writing(database, vault) as writer:
        await asyncio.gather(*(writer.submit(envelope(vault)) for _ in range(number)))


@asynccontextmanager
async def session(database: Database) -> AsyncIterator[Connection]:
    """A keeper's session in which the tail has its checkpoint."""
    async with await tail.connect(database.url("keeper"), TENANT) as connection:
        await connection.execute(tail.OPEN.sql.encode(), (TENANT, "t"))
        yield connection


def collecting(seen: list[int], broken: Callable[[int], bool] = lambda position: False) -> EventHandler:
    """A handler that remembers positions, and fails at broken ones."""

    async def handler(connection: Connection, events: Sequence[RecordedEvent]) -> None:
        positions = [event.position for event in events]
        if any(map(broken, positions)):
            raise ValueError("not this one")
        seen.extend(positions)

    return handler


def following(handler: EventHandler, **bounds: Any) -> Tail:
    """A tail named t."""
    return Tail("t", TENANT, tail.decoding(TENANT, Codec(), handler), **bounds)


async def until(condition: Callable[[], Any]) -> None:
    """Until it holds; 20 seconds at most."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running(follower: Tail, database: Database) -> AsyncIterator[None]:
    """The tail follows meanwhile."""
    task = asyncio.create_task(follower.run(database.url("keeper")))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
