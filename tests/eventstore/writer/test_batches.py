"""Batches: bounded, isolated from one another's refusals and poison, harmless to waiters that leave, drained at the end."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from domain.client import RecordClient
from domain.task import CreateTask
from eventstore.database import Database
from eventstore.errors import (
    CommandRefused,
    DatabaseUnavailable,
    KeyReused,
    Overloaded,
    Poisoned,
)
from eventstore.records import Receipt
from projections.engine import engine as product_engine
from tests.clusters import Cluster
from tests.eventstore.writer.harness import TENANT, assert_gapless, envelope, rows, vault_of, writing


def run(coroutine: Any) -> Any:
    """Run a test's coroutine."""
    return asyncio.run(coroutine)


async def lock_tenant(database: Database) -> psycopg.AsyncConnection[Any]:
    """Hold the tenant's lock, so that whatever is submitted meanwhile becomes one batch."""
    connection = await psycopg.AsyncConnection.connect(database.url("superuser"))
    await connection.execute("SELECT 1 FROM fidelog.logs WHERE tenant_id = %s FOR NO KEY UPDATE", (TENANT,))
    return connection


async def until_waiting(database: Database, number: int = 1) -> None:
    """Wait until `number` sessions wait for a lock."""
    async with await psycopg.AsyncConnection.connect(database.url("superuser"), autocommit=True) as connection:
        while True:
            cursor = await connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            row = await cursor.fetchone()
            if row is not None and row[0] >= number:
                return
            await asyncio.sleep(0.01)


def test_64_callers_with_one_new_key_get_one_event_and_equal_answers(pg: Cluster, database: Database) -> None:
    """P5: two writers on one tenant, 64 commands with one key, one event."""

    async def check() -> None:
        one, other = await vault_of(pg, database), await vault_of(pg, database)
        async with writing(database, one) as first, writing(database, other) as second:
            receipts = await asyncio.gather(
                *(
                    (first if n % 2 else second).submit(envelope(one if n % 2 else other, "c", key="same"))
                    for n in range(64)
                )
            )
        assert all(isinstance(receipt, Receipt) for receipt in receipts)
        found = [receipt for receipt in receipts if isinstance(receipt, Receipt)]
        assert len({receipt.events[0].event_id for receipt in found}) == 1
        assert sum(not receipt.replayed for receipt in found) == 1

    run(check())
    assert assert_gapless(database) == 1


def test_a_key_used_for_another_request_is_refused_also_within_one_batch(pg: Cluster, database: Database) -> None:
    """P5: same key, other request."""

    async def check() -> None:
        vault = await vault_of(pg, database)
        async with writing(database, vault) as writer:
            lock = await lock_tenant(database)
            commands = [
                writer.submit(envelope(vault, "c", key="k", risk_profile=risk)) for risk in ("moderate", "growth")
            ]
            pending = asyncio.gather(*commands, return_exceptions=True)
            await until_waiting(database)
            await lock.close()
            first, second = await pending
            assert isinstance(first, Receipt)
            assert isinstance(second, KeyReused)
            with pytest.raises(KeyReused):
                await writer.submit(envelope(vault, "c", key="k", risk_profile="aggressive"))

    run(check())
    assert assert_gapless(database) == 1


def test_a_command_recorded_under_hashes_of_32_bytes_is_recognised_by_their_first_16(
    pg: Cluster, database: Database
) -> None:
    """P5: also in a log that was begun with longer ones."""

    async def check() -> None:
        vault = await vault_of(pg, database)
        async with writing(database, vault) as writer:
            first = envelope(vault, "c", key="k")
            assert first.request_hash is not None
            first.idempotency_key += bytes(16)
            first.request_hash += bytes(16)
            recorded = await writer.submit(first)
            again = await writer.submit(envelope(vault, "c", key="k"))
            assert isinstance(recorded, Receipt)
            assert isinstance(again, Receipt)
            assert again.replayed
            assert [event.event_id for event in again.events] == [event.event_id for event in recorded.events]
            with pytest.raises(KeyReused):
                await writer.submit(envelope(vault, "c", key="k", risk_profile="growth"))
            other = await writer.submit(envelope(vault, "c", key="k2"))
            assert isinstance(other, Receipt)
            assert not other.replayed

    run(check())
    assert assert_gapless(database) == 2


def test_one_poison_command_in_a_batch_fails_alone(pg: Cluster, database: Database) -> None:
    """A value PostgreSQL refuses (a NUL in a text column) is found by bisection; its 31 neighbours are stored."""

    async def check() -> list[Any]:
        vault = await vault_of(pg, database)
        async with writing(database, vault) as writer:
            lock = await lock_tenant(database)
            held = asyncio.ensure_future(writer.submit(envelope(vault)))
            await until_waiting(database)
            batch = [envelope(vault, risk_profile="\x00" if n == 13 else "moderate") for n in range(32)]
            pending = asyncio.gather(*(writer.submit(e) for e in batch), return_exceptions=True)
            await asyncio.sleep(0)
            await lock.close()
            await held
            return list(await pending)

    outcomes = run(check())
    assert [n for n, outcome in enumerate(outcomes) if isinstance(outcome, Poisoned)] == [13]
    assert all(isinstance(outcome, Receipt) for n, outcome in enumerate(outcomes) if n != 13)
    assert assert_gapless(database) == 32


def test_a_fault_in_one_commands_decider_fails_that_command_alone(pg: Cluster, database: Database) -> None:
    """A bug that shows for one command's values is no reason to refuse the others."""
    product = product_engine()

    def decide(states: Any, command: RecordClient, selected: Any, context: Any) -> Any:
        if command.risk_profile == "broken":
            raise ZeroDivisionError
        return product.decide(states, command, selected, context)

    async def check() -> list[Any]:
        vault = await vault_of(pg, database)
        async with writing(database, vault, engine=replace(product, decide=decide)) as writer:
            batch = [envelope(vault, risk_profile="broken" if n == 3 else "moderate") for n in range(8)]
            return list(await asyncio.gather(*(writer.submit(e) for e in batch), return_exceptions=True))

    outcomes = run(check())
    assert [type(o) for n, o in enumerate(outcomes) if n == 3] == [ZeroDivisionError]
    assert all(isinstance(outcome, Receipt) for n, outcome in enumerate(outcomes) if n != 3)
    assert assert_gapless(database) == 7


def test_a_full_queue_refuses_and_loses_nothing_it_took(pg: Cluster, database: Database) -> None:
    """Bounded by count and by bytes; every command taken is carried out."""

    async def check() -> int:
        vault = await vault_of(pg, database)
        async with writing(database, vault, queue_commands=5, queue_bytes=2_000) as writer:
            lock = await lock_tenant(database)
            pending = [asyncio.ensure_future(writer.submit(envelope(vault)))]
            await until_waiting(database)  # the first is with a lane, the queue is empty
            pending += [asyncio.ensure_future(writer.submit(envelope(vault))) for _ in range(5)]
            await asyncio.sleep(0)
            with pytest.raises(Overloaded):
                await writer.submit(envelope(vault))
            await lock.close()
            receipts = await asyncio.gather(*pending)
            with pytest.raises(Overloaded):
                await writer.submit(envelope(vault, size=3_000))
            return len(receipts)

    assert run(check()) == 6
    assert assert_gapless(database) == 6


def test_a_batch_is_bounded_by_count_and_bytes(pg: Cluster, database: Database) -> None:
    """10 commands wait: at most 4 of them, or 600 bytes, are committed together."""
    for limits, expected in (({"batch_commands": 4}, [4, 4, 2]), ({"batch_bytes": 600}, [3, 3, 3, 1])):

        async def check(limits: dict[str, Any] = limits) -> None:
            vault = await vault_of(pg, database)
            async with writing(database, vault, **limits) as writer:
                lock = await lock_tenant(database)
                held = asyncio.ensure_future(writer.submit(envelope(vault)))
                await until_waiting(database)
                pending = [asyncio.ensure_future(writer.submit(envelope(vault))) for _ in range(10)]
                await asyncio.sleep(0)
                await lock.close()
                await asyncio.gather(held, *pending)

        before = assert_gapless(database)
        run(check())
        batches = rows(
            database,
            f"SELECT count(*) FROM fidelog.events WHERE position > {before + 1} GROUP BY xmin::text ORDER BY min(position)",
        )
        assert [number for (number,) in batches] == expected


def test_of_many_commands_in_flight_a_batch_takes_half(pg: Cluster, database: Database) -> None:
    """199 commands wait when a batch of one ends: 100 are taken, then the 99 left; none is lost or answered twice."""

    async def check() -> None:
        vault = await vault_of(pg, database)
        async with writing(database, vault) as writer:
            lock = await lock_tenant(database)
            held = asyncio.ensure_future(writer.submit(envelope(vault)))
            await until_waiting(database)
            pending = [asyncio.ensure_future(writer.submit(envelope(vault))) for _ in range(199)]
            await asyncio.sleep(0)
            await lock.close()
            receipts = await asyncio.gather(held, *pending)
        positions = [event.position for receipt in receipts if isinstance(receipt, Receipt) for event in receipt.events]
        assert sorted(positions) == list(range(1, 201))

    run(check())
    assert assert_gapless(database) == 200
    batches = rows(database, "SELECT count(*) FROM fidelog.events GROUP BY xmin::text ORDER BY min(position)")
    assert batches == [(1,), (100,), (99,)]


def test_closing_gives_every_outcome_that_is_due(pg: Cluster, database: Database) -> None:
    """P6: what was committed before the end is answered, though outcomes are given a few at a time."""

    async def check() -> None:
        vault = await vault_of(pg, database)
        async with writing(database, vault) as writer:
            pending = [asyncio.ensure_future(writer.submit(envelope(vault))) for _ in range(150)]
            await asyncio.sleep(0)
            await writer.close(10.0)
            done = [future.done() for future in pending]
            receipts = await asyncio.gather(*pending)
        assert all(done)
        assert all(isinstance(receipt, Receipt) for receipt in receipts)

    run(check())
    assert assert_gapless(database) == 150


def test_a_waiter_that_goes_away_is_harmless(pg: Cluster, database: Database) -> None:
    """Its command is carried out all the same, and a repeat with its key gets the answer."""

    async def check() -> None:
        vault = await vault_of(pg, database)
        async with writing(database, vault) as writer:
            lock = await lock_tenant(database)
            gone = asyncio.ensure_future(writer.submit(envelope(vault, "c", key="k")))
            stays = asyncio.ensure_future(writer.submit(envelope(vault)))
            await until_waiting(database)
            gone.cancel()
            await lock.close()
            assert isinstance(await stays, Receipt)
            again = await writer.submit(envelope(vault, "c", key="k"))
            assert isinstance(again, Receipt)
            assert again.replayed

    run(check())
    assert assert_gapless(database) == 2


def test_closing_drains_what_was_taken_and_refuses_what_comes_later(pg: Cluster, database: Database) -> None:
    """Shutdown: everything queued is answered from the log."""

    async def check() -> int:
        vault = await vault_of(pg, database)
        async with writing(database, vault, batch_commands=3) as writer:
            pending = [asyncio.ensure_future(writer.submit(envelope(vault))) for _ in range(20)]
            await asyncio.sleep(0)
            await writer.close(10.0)
            receipts = await asyncio.gather(*pending)
            with pytest.raises(DatabaseUnavailable):
                await writer.submit(envelope(vault))
            return sum(isinstance(receipt, Receipt) for receipt in receipts)

    assert run(check()) == 20
    assert assert_gapless(database) == 20


def test_tenants_take_turns(pg: Cluster, database: Database) -> None:
    """A tenant whose lock somebody holds delays no other; a busy one is served in turn with the rest."""
    rows(database, "INSERT INTO fidelog.tenant_keys SELECT 'other', epoch, wrapped FROM fidelog.tenant_keys")
    rows(database, "INSERT INTO fidelog.logs (tenant_id) VALUES ('other')")

    async def check() -> None:
        vault = await vault_of(pg, database)
        async with writing(database, vault) as writer:
            lock = await lock_tenant(database)
            held = asyncio.ensure_future(writer.submit(envelope(vault)))
            await until_waiting(database)
            await writer.submit(replace(envelope(vault), tenant_id="other", sealing=None))
            assert not held.done()
            await lock.close()
            await held

    run(check())


def test_a_key_that_lost_the_race_is_not_used(pg: Cluster, database: Database) -> None:
    """P8: two processes make a key for one new client; the second one's values are sealed again under the first's."""

    async def check() -> None:
        one, other = await vault_of(pg, database), await vault_of(pg, database)
        late = envelope(other, "c", risk_profile="growth")
        async with writing(database, one) as first, writing(database, other) as second:
            won = await first.submit(envelope(one, "c"))
            lost = await second.submit(late)
        assert isinstance(won, Receipt)
        assert isinstance(lost, Receipt)
        assert won.events[0].event.full_name["key"] == lost.events[0].event.full_name["key"]
        assert won.events[0].event.full_name["fingerprint"] == lost.events[0].event.full_name["fingerprint"]

    run(check())
    assert rows(database, "SELECT count(*) FROM fidelog.client_keys") == [(1,)]


def test_refusals_touch_no_other_command(pg: Cluster, database: Database) -> None:
    """A refusal between two accepted commands of one batch."""

    async def check() -> list[Any]:
        vault = await vault_of(pg, database)
        unknown = envelope(vault)
        assert isinstance(unknown.command, RecordClient)
        task_id, payload = "00000000-0000-4000-8000-000000000000", unknown.command.full_name
        unknown.sealing, unknown.command = None, CreateTask(task_id, "nobody", "a", payload, 3)
        async with writing(database, vault) as writer:
            batch = [envelope(vault), unknown, envelope(vault)]
            return list(await asyncio.gather(*(writer.submit(e) for e in batch), return_exceptions=True))

    outcomes = run(check())
    assert [type(outcome) for outcome in outcomes] == [Receipt, CommandRefused, Receipt]
