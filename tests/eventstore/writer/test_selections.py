"""The queue of claimable tasks that a writer keeps in memory: level with the log whoever wrote it, and never trusted
after a failure. What it loses, a claim would never give; what it keeps wrongly, a claim would give twice (P11)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from eventstore.database import Database
from eventstore.writer import loading, selections
from eventstore.writer.selections import RESTORE_SECONDS
from projections.engine import engine as product_engine
from tests.clusters import Cluster
from tests.eventstore.writer.cutting_proxy import Moment, cutting
from tests.eventstore.writer.harness import assert_gapless, rows, vault_of, writing
from tests.eventstore.writer.test_batches import lock_tenant, until_waiting
from tests.eventstore.writer.test_unknown_outcomes import embedded_only
from tests.eventstore.writer.worklist import AGENT, CountingQueues, Worklist


@dataclass
class Process:
    """A writer with its worklist, its count of restored queues and the clock that its selections go by."""

    tasks: Worklist
    queues: CountingQueues
    time: float = 0.0


@asynccontextmanager
async def process(pg: Cluster, database: Database, **options: Any) -> AsyncIterator[Process]:
    """A writing process with a vault and a queue of its own."""
    queues = CountingQueues()
    vault = await vault_of(pg, database)
    async with writing(database, vault, engine=replace(product_engine(), selections=(queues,)), **options) as writer:
        found = Process(Worklist(writer, vault), queues)
        writer._selections.clock = lambda: found.time
        yield found


Check = Callable[[Process, Process], Awaitable[None]]


def with_two(pg: Cluster, database: Database, check: Check) -> None:
    """Run a check with two processes; CLIENT is known, and the first has its queue restored: it was empty."""

    async def run() -> None:
        async with AsyncExitStack() as stack:
            one, other = [await stack.enter_async_context(process(pg, database)) for _ in range(2)]
            await one.tasks.onboard()
            assert await one.tasks.claim() == {}
            assert one.queues.restores == 1
            await check(one, other)

    asyncio.run(run())
    assert_gapless(database)


def edit(database: Database, change: str) -> None:
    """Change agent_tasks behind everyone's back, as only a superuser can."""
    guards = ("bare_change", "empty_change", "lost_row")
    again = [f"ALTER TABLE fidelog.agent_tasks ENABLE ALWAYS TRIGGER agent_tasks_{guard}" for guard in guards]
    rows(database, ";".join(["ALTER TABLE fidelog.agent_tasks DISABLE TRIGGER USER", change, *again]))


def test_writers_see_each_others_tasks_without_restoring(pg: Cluster, database: Database) -> None:
    """Created, claimed, given back, cancelled by another process: caught up with from the log under the lock."""

    async def check(one: Process, other: Process) -> None:
        first, second, third = await other.tasks.create(3, 1, 2)
        assert list(await one.tasks.claim()) == [second]
        given = await other.tasks.claim()
        assert list(given) == [third], "what the one took is not given by the other"
        await other.tasks.cancel(first)
        assert await one.tasks.claim(100) == {}
        await other.tasks.release(third, given[third])
        assert list(await one.tasks.claim(100)) == [third]
        assert (one.queues.restores, other.queues.restores) == (1, 1)

    with_two(pg, database, check)


def test_a_queue_far_behind_is_restored_outside_the_lock(
    pg: Cluster, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to CATCH_UP_EVENTS are read under the lock; one more and the queue comes from a snapshot, complete."""
    monkeypatch.setattr(loading, "CATCH_UP_EVENTS", 4)

    async def check(one: Process, other: Process) -> None:
        tasks = await other.tasks.create(3, 3, 3, 3)
        assert list(await one.tasks.claim()) == tasks[:1]
        assert one.queues.restores == 1, "4 behind: caught up"
        more = await other.tasks.create(1, 1, 1, 1, 1)
        assert list(await one.tasks.claim(100)) == [*more, *tasks[1:]]
        assert one.queues.restores == 2, "5 behind: restored"

    with_two(pg, database, check)


@pytest.mark.parametrize("number", [0, 1, 2, 3, 4, 7])
def test_a_snapshot_may_have_several_pages(
    pg: Cluster, database: Database, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """However many pages it takes, a full last one included: every open task once, the claimed ones held back."""
    monkeypatch.setattr(selections, "SNAPSHOT_ROWS", 2)

    async def check(one: Process, other: Process) -> None:
        held = await one.tasks.create(1, 1)
        assert list(await one.tasks.claim(2)) == held
        priorities = [3, 1, 2, 1, 3, 2, 2][:number]
        tasks = await one.tasks.create(*priorities)
        expected = [task for _, task in sorted(zip(priorities, tasks, strict=True), key=lambda pair: pair[0])]
        assert list(await other.tasks.claim(100)) == expected
        assert await one.tasks.claim(100) == {}

    with_two(pg, database, check)


@embedded_only
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_cut_commit_makes_the_queue_forget(pg: Cluster, database: Database, moment: Moment) -> None:
    """A claim whose COMMIT is cut on either side gives its tasks once: none is lost, none given twice."""

    async def check() -> None:
        async with process(pg, database) as other, cutting(database, moment, cuts=0) as (url, proxy):
            await other.tasks.onboard()
            tasks = await other.tasks.create(3, 3, 3, 3, 3, 3)
            async with process(pg, database, url=url) as one:
                given = [await one.tasks.claim()]
                proxy.cuts = 1
                given.append(await one.tasks.claim(2, key="cut"))
                assert proxy.cuts == 0, "the cut happened"
                assert await one.tasks.claim(2, key="cut") == given[1]
                assert one.queues.restores == 2, "after a lost connection nothing in memory is believed"
                given += [await one.tasks.claim(), await other.tasks.claim(), await one.tasks.claim(100)]
            assert [task for found in given for task in found] == tasks

    asyncio.run(check())
    assert_gapless(database)


def test_a_failed_commit_makes_the_queue_forget(pg: Cluster, database: Database) -> None:
    """The server refuses the COMMIT itself (40001, once): the batch is decided again on what is true."""
    rows(
        database,
        "CREATE SEQUENCE fidelog.failures; CREATE FUNCTION fidelog.fail_once() RETURNS trigger LANGUAGE plpgsql"
        " SECURITY DEFINER AS $$BEGIN IF NEW.status = 'claimed' AND nextval('fidelog.failures') = 1 THEN"
        "  RAISE EXCEPTION 'once' USING ERRCODE = '40001'; END IF; RETURN NULL; END$$;"
        "CREATE CONSTRAINT TRIGGER fail_once AFTER INSERT OR UPDATE ON fidelog.agent_tasks"
        " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fidelog.fail_once()",
    )

    async def check(one: Process, other: Process) -> None:
        tasks = await one.tasks.create(3, 3, 3)
        given = [await one.tasks.claim(), await one.tasks.claim(100), await other.tasks.claim(100)]
        assert [list(found) for found in given] == [tasks[:1], tasks[1:], []]

    with_two(pg, database, check)
    assert rows(database, "SELECT is_called FROM fidelog.failures") == [(True,)], "a COMMIT failed"


def test_claims_of_one_batch_share_the_queue(pg: Cluster, database: Database) -> None:
    """Claims, a task named by a command and one created, all in one batch: each task once, in order of arrival."""

    async def check(one: Process, other: Process) -> None:
        tasks = await one.tasks.create(1, 2, 3)
        lock = await lock_tenant(database)
        pending = [asyncio.ensure_future(one.tasks.claim())]
        await until_waiting(database)  # the first claim is a batch of its own, the others are one
        batch: list[Awaitable[Any]] = [one.tasks.cancel(tasks[1]), one.tasks.claim(), one.tasks.create(1)]
        batch += [one.tasks.claim(5), one.tasks.claim()]
        pending += [asyncio.ensure_future(each) for each in batch]
        await asyncio.sleep(0)
        await lock.close()
        first, _, second, (created,), rest, none = await asyncio.gather(*pending)
        assert [list(given) for given in (first, second, rest, none)] == [tasks[:1], tasks[2:], [created], []]

    with_two(pg, database, check)


def test_a_queue_in_doubt_heals_itself_at_the_next_claim(pg: Cluster, database: Database) -> None:
    """A row changed past the log gives a stream that no claim can use: noticed, and the queue restored."""

    async def check(one: Process, other: Process) -> None:
        bad, good = await one.tasks.create(1, 2)
        edit(database, f"UPDATE fidelog.agent_tasks SET status = 'cancelled' WHERE task_id = '{bad}'")
        given = [await one.tasks.claim(), await one.tasks.claim()]
        assert [task for found in given for task in found] == [good]
        assert one.queues.restores == 2
        await one.tasks.claim()
        assert one.queues.restores == 2, "no doubt is left"

    with_two(pg, database, check)


def test_a_row_that_is_missing_hides_nothing_behind_it(pg: Cluster, database: Database) -> None:
    """A row deleted past the log is noticed like one that was changed, at the next claim at the latest."""

    async def check(one: Process, other: Process) -> None:
        bad, good = await one.tasks.create(1, 2)
        edit(database, f"DELETE FROM fidelog.agent_tasks WHERE task_id = '{bad}'")
        given = [await one.tasks.claim(), await one.tasks.claim()]
        assert [task for found in given for task in found] == [good]

    with_two(pg, database, check)


def test_the_queue_is_restored_from_time_to_time(pg: Cluster, database: Database) -> None:
    """A row that was healed meanwhile (by replay) is seen again, at the latest after RESTORE_SECONDS."""

    async def check(one: Process, other: Process) -> None:
        (lost,) = await one.tasks.create(1)
        edit(database, "UPDATE fidelog.agent_tasks SET status = 'cancelled'")
        assert [await one.tasks.claim(), await one.tasks.claim()] == [{}, {}]
        edit(database, "UPDATE fidelog.agent_tasks SET status = 'pending'")
        one.time = RESTORE_SECONDS
        assert (await one.tasks.claim(), one.queues.restores) == ({}, 2)
        one.time = RESTORE_SECONDS + 1
        assert (list(await one.tasks.claim()), one.queues.restores) == ([lost], 3)

    with_two(pg, database, check)


def test_rows_that_another_fold_wrote_are_folded_from_the_log(pg: Cluster, database: Database) -> None:
    """What such a row says of priority, agent and lease is not believed; ended tasks stay ended."""

    async def check(one: Process, other: Process) -> None:
        tasks = await one.tasks.create(2, 1, 3, 1, 2)
        claimed = await one.tasks.claim()
        assert list(claimed) == [tasks[1]]
        await one.tasks.cancel(tasks[3])
        wrong = "status = 'pending', lease_expires_at = NULL, agent_name = 'x', priority = 5"
        edit(database, f"UPDATE fidelog.agent_tasks SET fold_version = 0, {wrong}")
        assert list(await other.tasks.claim(100)) == [tasks[0], tasks[4], tasks[2]]
        assert rows(database, "SELECT DISTINCT agent_name FROM fidelog.agent_tasks WHERE fold_version = 1") == [
            (AGENT,)
        ]

    with_two(pg, database, check)
