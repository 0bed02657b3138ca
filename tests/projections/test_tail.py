"""The tail runner: every event once and in order, whatever dies; a fault stops it at its position and loses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import psycopg
import pytest
from psycopg import AsyncRawCursor

from eventstore.database import Database
from eventstore.records import RecordedEvent
from projections.codec import Codec
from projections.tail import Connection, Tail
from tests.clusters import Cluster
from tests.eventstore.writer.harness import TENANT, envelope, rows, vault_of, writing


async def write(pg: Cluster, database: Database, number: int) -> None:
    """Append events."""
    vault = await vault_of(pg, database)
    async with writing(database, vault) as writer:
        await asyncio.gather(*(writer.submit(envelope(vault)) for _ in range(number)))


async def connect(database: Database) -> Connection:
    """A keeper's connection."""
    return await psycopg.AsyncConnection.connect(database.url("keeper"), autocommit=True, cursor_factory=AsyncRawCursor)


def collecting(seen: list[int]) -> Any:
    """A handler that remembers positions."""

    async def handler(connection: Connection, events: Sequence[RecordedEvent]) -> None:
        seen.extend(event.position for event in events)

    return handler


def test_two_processes_with_one_tail_handle_every_event_once_and_in_order(pg: Cluster, database: Database) -> None:
    """The checkpoint's lock gives each batch to one of them."""
    seen: list[int] = []

    async def check() -> None:
        await write(pg, database, 60)
        tails = [Tail("t", TENANT, collecting(seen), Codec(), batch=7) for _ in range(2)]
        connections = [await connect(database) for _ in tails]

        async def drain(tail: Tail, connection: Connection) -> None:
            while await tail.step(connection):
                pass

        await asyncio.gather(*(drain(t, c) for t, c in zip(tails, connections, strict=True)))
        for connection in connections:
            await connection.close()

    asyncio.run(check())
    assert seen == list(range(1, 61))
    assert rows(database, "SELECT name, position FROM fidelog.tail_checkpoints") == [("t", 60)]


def test_a_handler_that_fails_stops_the_tail_at_its_position(pg: Cluster, database: Database) -> None:
    """Nothing of the failed batch is saved; when the cause is gone the tail goes on where it stood."""
    seen: list[int] = []
    broken = True

    async def handler(connection: Connection, events: Sequence[RecordedEvent]) -> None:
        if broken and events[0].position > 5:
            raise ValueError("not this one")
        seen.extend(event.position for event in events)

    async def check() -> None:
        nonlocal broken
        await write(pg, database, 12)
        tail = Tail("t", TENANT, handler, Codec(), batch=5)
        connection = await connect(database)
        assert await tail.step(connection) == 5
        for _ in range(2):
            with pytest.raises(ValueError, match="not this one"):
                await tail.step(connection)
        assert rows(database, "SELECT position FROM fidelog.tail_checkpoints") == [(5,)]
        broken = False
        while await tail.step(connection):
            pass
        await connection.close()

    asyncio.run(check())
    assert seen == list(range(1, 13))


def test_a_running_tail_survives_its_connection_and_shows_its_fault(pg: Cluster, database: Database) -> None:
    """Its session is terminated; it connects again and misses nothing that was written meanwhile."""
    seen: list[int] = []

    async def until(condition: Any) -> None:
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.01)

    async def check() -> None:
        tail = Tail("t", TENANT, collecting(seen), Codec(), every=0.05)
        running = asyncio.create_task(tail.run(database.url("keeper")))
        await write(pg, database, 3)
        tail.wake()
        await until(lambda: len(seen) == 3)
        rows(
            database,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%events%' AND pid <> pg_backend_pid()",
        )
        await write(pg, database, 3)
        await until(lambda: tail.position == 6)
        assert len(seen) == 6
        assert tail.fault is None
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(check())
    assert seen == [1, 2, 3, 4, 5, 6]
