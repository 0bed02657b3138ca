"""The tail runner: every event once and in order, whatever dies; a fault stops it exactly before the event, says so
where every process can read it, and loses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from eventstore.database import Database
from projections import tail
from projections.codec import Codec, UnknownEvent
from projections.tail import Connection, Tail
from tests.clusters import Cluster
from tests.eventstore.writer.harness import TENANT, envelope, rows, vault_of, writing
from tests.projections.tails import CHECKPOINT, collecting, following, running, session, until, write


def test_two_processes_with_one_tail_handle_every_event_once_and_in_order(pg: Cluster, database: Database) -> None:
    """The checkpoint's lock gives each batch to one of them."""
    seen: list[int] = []

    async def check() -> None:
        await write(pg, database, 60)

        async def drain(follower: Tail) -> None:
            async with session(database) as connection:
                while await follower.step(connection):
                    pass

        await asyncio.gather(*(drain(following(collecting(seen), batch=7)) for _ in range(2)))

    asyncio.run(check())
    assert seen == list(range(1, 61))
    assert rows(database, CHECKPOINT) == [(60, None)]


def test_a_handler_that_fails_saves_nothing_of_its_batch(pg: Cluster, database: Database) -> None:
    """Handler and checkpoint are one transaction; what the handler wrote is gone with it."""

    async def handler(connection: Connection, after: int, limit: int) -> int:
        await connection.execute(b"UPDATE fidelog.tail_checkpoints SET fault = 'half' WHERE name = 't'")
        if after >= 5:
            raise ValueError("not this one")
        return after + limit

    async def check() -> None:
        follower = Tail("t", TENANT, handler, batch=5)
        async with session(database) as connection:
            assert await follower.step(connection) == 5
            with pytest.raises(ValueError, match="not this one"):
                await follower.step(connection)

    asyncio.run(check())
    assert rows(database, CHECKPOINT) == [(5, None)]


def test_a_tail_does_not_wait_for_the_disk(database: Database) -> None:
    """What it writes and its checkpoint stand or fall together, so neither need outlive a crash; the writer's login waits."""

    async def check() -> list[tuple[Any, ...] | None]:
        async with session(database) as connection:
            return [await (await connection.execute(b"SHOW synchronous_commit")).fetchone()]

    assert asyncio.run(check()) == [("off",)]


@pytest.mark.parametrize("batch", [1, 2, 5, 500])
def test_a_fault_stops_the_tail_exactly_before_the_event(pg: Cluster, database: Database, batch: int) -> None:
    """What stands before the event is handled, whatever the batch; the fault is recorded, without the error's text;
    when the cause is gone the tail goes on where it stood, in full batches, and the fault is cleared."""
    seen: list[int] = []
    broken = {9}

    async def turns(follower: Tail, connection: Connection) -> None:
        while await follower.turn(connection):
            pass

    async def check() -> None:
        await write(pg, database, 12)
        follower = following(collecting(seen, broken.__contains__), batch=batch)
        async with session(database) as connection:
            for _ in range(3):
                await turns(follower, connection)
                assert (follower.position, follower.head, follower.lag) == (8, 12, 4)
                assert rows(database, CHECKPOINT) == [(8, "ValueError at position 9")]
                assert follower.fault == "ValueError at position 9"
            assert seen == list(range(1, 9))
            broken.clear()
            await turns(follower, connection)
            assert follower.fault is None
            assert rows(database, CHECKPOINT) == [(12, None)]
            await write(pg, database, 600)
            turned = 0
            while await follower.turn(connection):
                turned += 1
            assert turned < 20 or batch < 500, "batches have grown again"

    asyncio.run(check())
    assert seen == list(range(1, 613))


def test_an_event_that_cannot_be_decoded_stops_a_tail_of_decoded_events(pg: Cluster, database: Database) -> None:
    """A newer process wrote it: this one waits before it and skips nothing."""

    class Older(Codec):
        def decode(self, type_name: str, schema_version: int, data: bytes) -> Any:
            if b"client-unknown" in data:
                raise UnknownEvent(type_name)
            return super().decode(type_name, schema_version, data)

    seen: list[int] = []

    async def check() -> None:
        await write(pg, database, 3)
        vault = await vault_of(pg, database)
        async with writing(database, vault) as writer:
            await writer.submit(envelope(vault, "client-unknown"))
        await write(pg, database, 2)
        follower = Tail("t", TENANT, tail.decoding(TENANT, Older(), collecting(seen)))
        async with session(database) as connection:
            while await follower.turn(connection):
                pass

    asyncio.run(check())
    assert seen == [1, 2, 3]
    assert rows(database, CHECKPOINT) == [(3, "UnknownEvent at position 4")]


def test_a_fault_that_another_process_got_over_is_not_recorded(pg: Cluster, database: Database) -> None:
    """Only the process that stands where the checkpoint stands may say so; and it finds that it need not stand."""

    async def check() -> None:
        await write(pg, database, 2)
        async with session(database) as connection, session(database) as other:

            async def overtaken(events: Connection, after: int, limit: int) -> int:
                raise ValueError("not for me")

            slow, fast = Tail("t", TENANT, overtaken, batch=1), following(collecting([]))
            save = tail._execute

            async def late(at: Connection, wanted: Any, *parameters: Any) -> Any:
                if wanted is tail.SAVE_FAULT:
                    await fast.turn(other)
                return await save(at, wanted, *parameters)

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(tail, "_execute", late)
                await slow.turn(connection)
            assert rows(database, CHECKPOINT) == [(2, None)]
            await slow.turn(connection)
            assert (slow.fault, slow.position) == (None, 2)

    asyncio.run(check())


def test_a_running_tail_survives_its_connection(pg: Cluster, database: Database) -> None:
    """Its session is terminated; it connects again and misses nothing that was written meanwhile."""
    seen: list[int] = []

    async def check() -> None:
        follower = following(collecting(seen), every=0.05, rest=0.01)
        async with running(follower, database):
            await write(pg, database, 3)
            follower.wake()
            await until(lambda: follower.position == 3)
            rows(
                database,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                " AND query LIKE '%tail_checkpoints%' AND pid <> pg_backend_pid()",
            )
            await write(pg, database, 3)
            await until(lambda: follower.position == 6)
            assert follower.fault is None

    asyncio.run(check())
    assert seen == [1, 2, 3, 4, 5, 6]


def test_a_session_killed_in_the_middle_of_a_batch_loses_and_doubles_nothing(pg: Cluster, database: Database) -> None:
    """Written, not committed, killed: the next session handles the same events again, and only that counts."""
    killed = asyncio.Event()

    async def handler(connection: Connection, after: int, limit: int) -> int:
        await connection.execute(
            b"INSERT INTO fidelog.tail_checkpoints (tenant_id, name, position) VALUES ('default', 'seen-' || $1::int, 0)",
            (after,),
        )
        if after == 2 and not killed.is_set():
            killed.set()
            rows(database, f"SELECT pg_terminate_backend({connection.info.backend_pid})")
        return after + limit

    async def check() -> None:
        await write(pg, database, 6)
        follower = Tail("t", TENANT, handler, batch=2, every=0.05, rest=0.01)
        async with running(follower, database):
            await until(lambda: follower.position == 6)

    asyncio.run(check())
    assert killed.is_set()
    found = rows(database, "SELECT name FROM fidelog.tail_checkpoints WHERE name <> 't' ORDER BY name")
    assert found == [("seen-0",), ("seen-2",), ("seen-4",)]


def test_an_idle_tail_asks_once_a_turn_and_writes_nothing(
    pg: Cluster, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One cheap statement a turn; the checkpoint's row is as it was."""
    asked: list[str] = []
    execute = tail._execute

    def counting(connection: Connection, wanted: Any, *parameters: Any) -> Awaitable[Any]:
        asked.append(wanted.name)
        return execute(connection, wanted, *parameters)

    async def check() -> None:
        await write(pg, database, 3)
        follower = following(collecting([]))
        async with session(database) as connection:
            while await follower.turn(connection):
                pass
            before = rows(database, "SELECT xmin::text, * FROM fidelog.tail_checkpoints")
            monkeypatch.setattr(tail, "_execute", counting)
            for _ in range(5):
                assert not await follower.turn(connection)
            assert rows(database, "SELECT xmin::text, * FROM fidelog.tail_checkpoints") == before

    asyncio.run(check())
    assert asked == ["look_at_log"] * 5


def test_a_tail_that_cannot_connect_says_so(pg: Cluster, database: Database) -> None:
    """No keeper, no following: the tail stands still and names the kind of error, nothing of its text."""

    async def check() -> None:
        follower = following(collecting([]), every=0.02, rest=0.01)
        task = asyncio.create_task(follower.run("host=/nowhere dbname=none"))
        await until(lambda: follower.fault)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert follower.fault == "OperationalError without a connection"

    asyncio.run(check())


def test_a_tail_is_never_ahead_of_the_newest_event_it_knows(pg: Cluster, database: Database) -> None:
    """The log grew after the look: what was handled counts as recorded, and the lag is not below zero."""

    async def handler(connection: Connection, after: int, limit: int) -> int:
        return after + 5

    async def check() -> None:
        await write(pg, database, 2)
        follower = Tail("t", TENANT, handler)
        async with session(database) as connection:
            await follower.turn(connection)
        assert (follower.position, follower.head, follower.lag) == (5, 5, 0)

    asyncio.run(check())
