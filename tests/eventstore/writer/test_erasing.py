"""P8: keys that are destroyed with the event that says so."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from eventstore.database import Database
from eventstore.errors import DatabaseUnavailable, SubjectErased
from eventstore.records import Receipt
from eventstore.writer.writer import Writer
from projections.engine import engine as product_engine
from tests.clusters import Cluster
from tests.eventstore.writer.harness import (
    TENANT,
    assert_gapless,
    connector,
    envelope,
    erasing,
    rows,
    vault_of,
    writing,
)
from tests.eventstore.writer.test_batches import lock_tenant, run, until_waiting


def test_a_tombstone_refuses_new_values(pg: Cluster, database: Database) -> None:
    """P8: after erasure no value is sealed under the old key, although a process still has it cached."""

    async def check() -> None:
        vault = await vault_of(pg, database)
        async with writing(database, vault) as writer:
            await writer.submit(envelope(vault, "c", key="k"))
            await writer.submit(erasing(vault, "c"))
            with pytest.raises(SubjectErased):
                await writer.submit(envelope(vault, "c"))
            with pytest.raises(SubjectErased):
                await writer.submit(envelope(vault, "c", key="k"))

    run(check())
    assert assert_gapless(database) == 2


def test_a_batch_finds_the_key_destroyed_that_it_destroys_itself(pg: Cluster, database: Database) -> None:
    """P8: in one batch a client is made, written, erased and written again: what comes after the erasure is refused, its
    neighbours are carried out, and the rows are as if each had had a batch of its own."""

    async def check() -> None:
        vault = await vault_of(pg, database)
        async with writing(database, vault) as writer:
            lock = await lock_tenant(database)
            held = asyncio.ensure_future(writer.submit(envelope(vault, "first")))
            await until_waiting(database)
            batch = [
                envelope(vault, "c"), envelope(vault, "c"), erasing(vault, "c"), envelope(vault, "c"),
                envelope(vault, "d"), erasing(vault, "nobody"), envelope(vault, "nobody"),
            ]  # fmt: skip
            pending = asyncio.gather(*(writer.submit(each) for each in batch), return_exceptions=True)
            await asyncio.sleep(0)
            await lock.close()
            await held
            outcomes = await pending
        assert [type(outcome) for outcome in outcomes] == [
            Receipt, Receipt, Receipt, SubjectErased, Receipt, Receipt, SubjectErased,
        ]  # fmt: skip

    run(check())
    assert assert_gapless(database) == 6
    keys = rows(database, "SELECT subject, wrapped IS NULL, destroyed_position FROM fidelog.client_keys ORDER BY 1")
    assert keys == [("c", True, 4), ("d", False, None), ("first", False, None), ("nobody", True, 6)]


def test_an_erasure_is_answered_when_it_is_in_the_ledger(pg: Cluster, database: Database) -> None:
    """P8: told before the answer, with its position; and when the ledger cannot be written the outcome is unknown, while
    others of the batch are answered."""
    entered: list[tuple[str, dict[str, int]]] = []

    async def enter(tenant_id: str, erased: Any) -> None:
        entered.append((tenant_id, dict(erased)))
        if len(entered) > 1:
            raise OSError(28, "No space left on device")

    async def check() -> None:
        vault = await vault_of(pg, database)
        engine = product_engine()
        writer = Writer(connector(database.url("writer"), engine), engine, vault, on_erased=enter)
        writer.start()
        await writer.submit(envelope(vault, "c"))
        await writer.submit(erasing(vault, "c"))
        assert entered == [(TENANT, {"c": 2})]
        results = await asyncio.gather(
            writer.submit(erasing(vault, "d")), writer.submit(envelope(vault, "e")), return_exceptions=True
        )
        assert isinstance(results[0], DatabaseUnavailable)
        assert isinstance(results[1], Receipt)
        await writer.close(5.0)

    run(check())
