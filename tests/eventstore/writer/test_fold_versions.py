"""A fold changed on purpose has a new version, and old and new processes may run side by side: neither writes a row that
the other misreads, and each reads by its own fold (P7)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from api.leases import LeaseSweep
from domain import administration, client, task_events
from eventstore.database import Database
from eventstore.ids import RandomIds
from eventstore.reading import Log, Reader
from eventstore.records import Envelope, Receipt
from eventstore.writer.engine import NewerFold
from eventstore.writer.internal import InternalCommands
from projections.engine import engine as product_engine
from projections.engine import read_models
from projections.queries import Queries
from tests.api.conftest import Caller, client_body, fresh_agent
from tests.clocks import PassingClock
from tests.clusters import Cluster
from tests.eventstore.writer.harness import TENANT, assert_gapless, envelope, rows, vault_of, writing
from tests.eventstore.writer.test_batches import lock_tenant, until_waiting
from tests.eventstore.writer.worklist import Worklist
from tests.running import running_api


def _whole_history(state: client.Client | None, recorded: Any) -> client.Client:
    """Keeps every risk profile there was: a row of the old fold lacks what this one needs."""
    folded = client.evolve(state, recorded)
    past = "" if state is None else f"{state.risk_profile}>"
    return folded._replace(risk_profile=past + folded.risk_profile)


def _other_holder(state: task_events.Task | None, recorded: Any) -> task_events.Task:
    """Says otherwise who holds a task."""
    folded = task_events.evolve(state, recorded)
    return folded if folded.claimed_by is None else folded._replace(claimed_by="version 2")


NEW_FOLDS = (
    replace(client.FOLD, version=2, evolve=_whole_history),
    replace(task_events.FOLD, version=2, evolve=_other_holder),
    administration.FOLD,
)


@asynccontextmanager
async def side_by_side(
    pg: Cluster, database: Database, clock: PassingClock | None = None
) -> AsyncIterator[tuple[Worklist, Worklist]]:
    """An old process and a new one; CLIENT is known, its row is the old one's."""
    one, other = await vault_of(pg, database), await vault_of(pg, database)
    clock = clock or PassingClock()
    old_engine, new_engine = clock.engine(), clock.engine(product_engine(NEW_FOLDS))
    async with writing(database, one, engine=old_engine) as old, writing(database, other, engine=new_engine) as new:
        await Worklist(old, one).onboard()
        yield Worklist(old, one), Worklist(new, other)


def upsert(process: Worklist, client_id: str, risk_profile: str, key: str | None = None) -> Envelope:
    """A client's profile, on its way."""
    return envelope(process.vault, client_id, risk_profile=risk_profile, key=key)


def profile(database: Database, client_id: str) -> tuple[str, int, int]:
    """The client's row: risk profile, version, version of the fold."""
    query = "SELECT risk_profile, version, fold_version FROM fidelog.client_profiles WHERE client_id = "
    ((risk_profile, version, fold_version),) = rows(database, f"{query}'{client_id}'")
    return risk_profile, version, fold_version


def test_the_newer_process_folds_an_older_row_from_the_log(pg: Cluster, database: Database) -> None:
    """What it needs and the old row lacks is in the log; its row says which fold wrote it."""

    async def check() -> None:
        async with side_by_side(pg, database) as (old, new):
            await old.submit(upsert(old, "c", "moderate"))
            await old.submit(upsert(old, "c", "growth"))
            assert profile(database, "c") == ("growth", 2, 1)
            await new.submit(upsert(new, "c", "aggressive"))
            assert profile(database, "c") == ("moderate>growth>aggressive", 3, 2)
            await new.submit(upsert(new, "c", "growth"))
            assert profile(database, "c") == ("moderate>growth>aggressive>growth", 4, 2)

    asyncio.run(check())


def test_the_older_process_refuses_newer_rows_and_does_the_rest_of_the_batch(pg: Cluster, database: Database) -> None:
    """A command on a stream whose row is newer is answered unavailable and appends nothing; its neighbours are carried
    out; a repeat is answered from the log all the same (P5)."""

    async def check() -> None:
        async with side_by_side(pg, database) as (old, new):
            await old.submit(upsert(old, "c", "moderate", key="before"))
            await new.submit(upsert(new, "c", "growth"))
            lock = await lock_tenant(database)
            held = asyncio.ensure_future(old.submit(upsert(old, "first", "moderate")))
            await until_waiting(database)
            batch = [upsert(old, client_id, "moderate") for client_id in ("a", "c", "b", "c")]
            batch.append(upsert(old, "c", "moderate", key="before"))
            pending = asyncio.gather(*(old.submit(each) for each in batch), return_exceptions=True)
            await asyncio.sleep(0)
            await lock.close()
            await held
            a, refused, b, refused_too, repeated = await pending
            assert isinstance(refused, NewerFold)
            assert isinstance(refused_too, NewerFold)
            assert isinstance(a, Receipt)
            assert isinstance(b, Receipt)
            assert a.events[0].position + 1 == b.events[0].position
            assert isinstance(repeated, Receipt)
            assert repeated.replayed
            assert profile(database, "c") == ("moderate>growth", 2, 2)

    asyncio.run(check())
    assert assert_gapless(database) == 6


def test_side_by_side_every_row_is_the_fold_of_its_version(pg: Cluster, database: Database) -> None:
    """Any order of writes by both: a row is what its fold makes of the log, and goes over to the new fold for good."""
    order = random.Random(7)
    history: dict[str, list[str]] = {}
    newest: dict[str, int] = {}

    async def check() -> None:
        async with side_by_side(pg, database) as (old, new):
            for _ in range(80):
                process, version = order.choice([(old, 1), (old, 1), (new, 2)])
                client_id, risk = f"c{order.randrange(12)}", order.choice(client.RISK_PROFILES)
                if version < newest.get(client_id, 0):
                    with pytest.raises(NewerFold):
                        await process.submit(upsert(process, client_id, risk))
                else:
                    await process.submit(upsert(process, client_id, risk))
                    newest[client_id] = version
                    history.setdefault(client_id, []).append(risk)
                expected = {1: history[client_id][-1], 2: ">".join(history[client_id])}[newest[client_id]]
                assert profile(database, client_id) == (expected, len(history[client_id]), newest[client_id])

    asyncio.run(check())
    assert set(newest.values()) == {1, 2}, "both had their share"


def holder(database: Database, task_id: str) -> tuple[str | None, int]:
    """Who holds the task according to its row, and the row's fold."""
    query = f"SELECT claimed_by, fold_version FROM fidelog.agent_tasks WHERE task_id = '{task_id}'"
    ((claimed_by, fold_version),) = rows(database, query)
    return claimed_by, fold_version


def test_claims_take_what_they_can_read(pg: Cluster, database: Database) -> None:
    """The new process claims tasks of both; the old one passes over newer rows to the tasks behind them."""

    async def check() -> None:
        async with side_by_side(pg, database) as (old, new):
            assert await old.claim() == {}
            (oldest,) = await old.create(3)
            newer = await new.create(3, 3)
            (last,) = await old.create(3)
            assert list(await old.claim()) == [oldest]
            assert list(await old.claim()) == [last], "newer rows hide nothing that stands behind them"
            assert await old.claim(100) == {}
            (given, token), *_ = (await new.claim()).items()
            assert given == newer[0]
            assert holder(database, given) == ("version 2", 2)
            await new.release(given, token)
            assert list(await new.claim(100)) == newer
            with pytest.raises(NewerFold):
                await old.release(given, token)
            with pytest.raises(NewerFold):
                await old.cancel(newer[1])

    asyncio.run(check())


def test_a_new_process_claims_tasks_that_the_old_one_left(pg: Cluster, database: Database) -> None:
    """Restored from rows of the old fold, by priority, then age; once claimed, their rows are the new fold's."""

    async def check() -> None:
        async with side_by_side(pg, database) as (old, new):
            tasks = await old.create(3, 1, 3)
            assert list(await old.claim()) == [tasks[1]]
            assert holder(database, tasks[1]) == ("user:test", 1)
            assert list(await new.claim(100)) == [tasks[0], tasks[2]]
            assert holder(database, tasks[2]) == ("version 2", 2)
            assert await new.claim(100) == await old.claim(100) == {}

    asyncio.run(check())


def test_nobody_writes_a_row_by_an_older_fold_not_even_by_sql(pg: Cluster, database: Database) -> None:
    """The guard in the database: FL004 for the writer's own login, at whatever version and position."""

    async def check() -> None:
        async with side_by_side(pg, database) as (_, new):
            await new.submit(upsert(new, "c", "moderate"))
            await new.create(3)

    asyncio.run(check())
    for table in ("client_profiles", "agent_tasks"):
        ahead = f"UPDATE fidelog.{table} SET version = version + 1, position = position + 1, fold_version = "
        with pytest.raises(psycopg.Error) as caught:
            rows(database, f"{ahead} 1 WHERE fold_version = 2", "writer")
        assert caught.value.sqlstate == "FL004"
        rows(database, f"{ahead} 2 WHERE fold_version = 2", "writer")  # the fold is what was refused


def test_the_older_processs_sweep_is_not_held_up_by_newer_rows(pg: Cluster, database: Database) -> None:
    """Leases end for the tasks it can read, though one of those whose lease is over has a newer row."""
    clock = PassingClock()
    clock.pass_seconds(-3600)  # so that by the database's clock too the leases are over in the end

    async def check() -> None:
        async with side_by_side(pg, database, clock) as (old, new):
            (mine,), (theirs,) = await old.create(1), await new.create(2)
            assert [list(await old.claim()), list(await new.claim())] == [[mine], [theirs]]
            clock.pass_seconds(3600)
            reader = Reader(database.url("reader"))
            await reader.open()
            engine = product_engine()
            queries = Queries(reader, Log(reader, engine.codec), old.vault, read_models(engine))
            await LeaseSweep(TENANT, queries, InternalCommands(old.writer, old.vault, RandomIds())).turn()
            await reader.close()
            assert (holder(database, mine), holder(database, theirs)) == ((None, 1), ("version 2", 2))

    asyncio.run(check())


def test_over_http_each_process_reads_what_the_other_wrote_by_its_own_fold(pg: Cluster, database_name: str) -> None:
    """Rows of a newer and of an older fold are not believed: the answer is folded from the log. A write that would have
    to be made on a newer row is 503, and succeeds at the newer process."""
    with running_api(pg.settings(database_name), engine=product_engine(NEW_FOLDS)) as new:
        with running_api(pg.settings(database_name)) as old:
            newer, older = Caller(new.client), Caller(old.client)
            client_id, agent_name = newer.client(), fresh_agent()
            body = client_body(client_id, risk_profile="growth")
            assert newer.post("/clients", body, idempotency_key="k").json() == body
            task_id = newer.task(agent_name, client_id)
            (task,) = newer.claim(agent_name)
            read = {path: older.http.get(path).json() for path in (f"/clients/{client_id}", f"/tasks/{task_id}")}
            assert read[f"/clients/{client_id}"] == body
            assert read[f"/tasks/{task_id}"]["claimed_by"] == "user:local"
            assert older.http.get("/tasks", params={"client_id": client_id}).json()["tasks"] == [*read.values()][1:]
            path, result = f"/tasks/{task_id}/result", {"claim_token": task["claim_token"], "result": {}}
            for target, sent in (("/clients", client_body(client_id)), (path, result)):
                older.refused("database-unavailable", "POST", target, json=sent)
            again = older.post("/clients", body, idempotency_key="k", if_match='"1.client"')
            assert (again.json(), again.headers["idempotency-replayed"]) == (body, "true")
            for table, change in (("client_profiles", "risk_profile = 'x'"), ("agent_tasks", "status = 'pending'")):
                # As a still older fold might have it.
                pg.execute(f"ALTER TABLE fidelog.{table} DISABLE TRIGGER USER", database_name)
                pg.execute(f"UPDATE fidelog.{table} SET fold_version = 0, {change}", database_name)
            assert read == {path: older.http.get(path).json() for path in read}
            assert newer.post(path, result).json()["status"] == "completed"
            assert newer.post("/clients", client_body(client_id)).headers["etag"] == '"3.client"'
