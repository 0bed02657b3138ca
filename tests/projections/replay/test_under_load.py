"""While the writer goes on: checks find nothing that is not there, and replay makes right also what moves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest

from domain.client import FOLD, Client
from domain.decider import Fold
from eventstore.database import Database
from eventstore.statements import Statement
from eventstore.writer.frame import BEGIN, COMMIT, ROLLBACK
from projections.client_profiles import client_profiles
from projections.replay.faults import Cancelled, NewerFold, ReplayFailed
from projections.replay.healing import DURABLE, Healer, _Part
from projections.replay.replayable import FoldedStreams
from projections.replay.sessions import Session
from tests.clusters import Cluster
from tests.eventstore.writer.harness import envelope, rows, vault_of, writing
from tests.projections.replay.harness import STORY, Direct, append, check, damage, heal, onboarded, table
from tests.waiting import until

HOT = ("h1", "h2", "h3")
SHOW = Statement("show", "SELECT current_setting('synchronous_commit')")


def write(pg: Cluster, database: Database, *clients: str) -> None:
    """Upserts through the writer, one after the other."""

    async def submit() -> None:
        vault = await vault_of(pg, database)
        async with writing(database, vault) as writer:
            for client in clients:
                await writer.submit(envelope(vault, client, risk_profile="growth"))

    asyncio.run(submit())


@contextmanager
def load(pg: Cluster, database: Database) -> Iterator[Callable[[], int]]:
    """Writers that never pause, on hot streams and new ones; gives how many commands were acknowledged so far."""
    done, stop = [0], threading.Event()

    async def go_on() -> None:
        vault = await vault_of(pg, database)
        async with writing(database, vault) as writer:

            async def one(client: str | None) -> None:
                while not stop.is_set():
                    await writer.submit(envelope(vault, client))
                    done[0] += 1

            await asyncio.gather(*(one(client) for client in (*HOT, None, None)))

    thread = threading.Thread(target=lambda: asyncio.run(go_on()))
    thread.start()
    try:
        yield lambda: done[0]
    finally:
        stop.set()
        thread.join(30)


def ten_more(acknowledged: Callable[[], int]) -> None:
    """Wait until so many more commands were acknowledged."""
    wanted = acknowledged() + 10
    until("ten more writes", lambda: acknowledged() >= wanted)


def test_checks_under_load_find_no_difference(pg: Cluster, database: Database) -> None:
    """P7: events and rows are read as of one moment, so what a writer does meanwhile is never mistaken for damage."""
    models = [FoldedStreams(client_profiles(), 50)]
    with load(pg, database) as acknowledged:
        for _ in range(20):
            ten_more(acknowledged)
            assert check(database, models=models) == []
    assert acknowledged() > 200


def test_replay_under_load_heals_and_loses_no_write(pg: Cluster, database: Database) -> None:
    """P1, P7: rows of hot streams are damaged again and again; after each replay they are right, and writes go on."""
    append(database, STORY)
    heal(database)
    with load(pg, database) as acknowledged:
        until("fifty writes", lambda: acknowledged() >= 50)
        for _ in range(5):
            damage(database, "client_profiles", "SET created_at = '2020-01-01'")
            assert heal(database).differing > 0
            assert check(database) == []
            ten_more(acknowledged)
    assert check(database) == []
    assert rows(database, "SELECT count(*) FROM fidelog.client_profiles WHERE created_at < '2021-01-01'") == [(0,)]


@pytest.mark.parametrize("moves", [1, 3])
def test_a_damaged_row_that_moves_is_still_damaged_and_healed(pg: Cluster, database: Database, moves: int) -> None:
    """Between finding the damage and taking the lock the writer builds on the damaged row; the new row is made right,
    with what was written meanwhile."""
    write(pg, database, *HOT)
    damage(database, "client_profiles", "SET created_at = '2020-01-01' WHERE client_id = 'h2'")
    models = [FoldedStreams(client_profiles())]
    assert heal(database, models=models, between=lambda: write(pg, database, *["h2"] * moves)).differing == 1
    assert check(database) == []
    ((version, created),) = rows(
        database, "SELECT version, created_at > '2021-01-01' FROM fidelog.client_profiles WHERE client_id = 'h2'"
    )
    assert (version, created) == (1 + moves, True)


def test_a_new_stream_with_the_id_of_a_row_without_one_is_kept(pg: Cluster, database: Database) -> None:
    """A row without a stream is found, and before it is deleted its stream begins: the row is then what it folds to."""
    append(database, [onboarded("a")])
    heal(database)
    copy = "INSERT INTO fidelog.client_profiles SELECT tenant_id, 'b', full_name, risk_profile, created_at, updated_at,"
    damage(database, "client_profiles", f"{copy} 1, 1, 1 FROM fidelog.client_profiles WHERE client_id = 'a'")
    assert heal(database, between=lambda: append(database, [onboarded("b", "growth")])).differing == 1
    assert check(database) == []
    assert rows(database, "SELECT risk_profile FROM fidelog.client_profiles ORDER BY client_id") == [
        ("moderate",),
        ("growth",),
    ]


def test_two_replays_at_once_do_no_harm(database: Database) -> None:
    """The second finds rows that were missing a moment ago, and replaces them by the same."""
    append(database, STORY)
    models = [FoldedStreams(client_profiles())]
    assert heal(database, models=models, between=lambda: print(heal(database, models=models))).differing == 3
    assert check(database, models=models) == []
    assert len(table(database, "client_profiles")) == 3


def test_a_row_that_a_newer_fidelog_just_wrote_stays(database: Database) -> None:
    """Between finding the row missing and taking the lock, a newer fold writes it: it is not touched, and said."""
    append(database, STORY)
    newer = [FoldedStreams(client_profiles(Fold("client", 2, FOLD.evolve)))]
    rushed: list[int] = []

    def other() -> None:
        if not rushed:
            rushed.append(0)
            heal(database, models=newer)

    with pytest.raises(Exception, match="newer Fidelog"):
        heal(database, models=[FoldedStreams(client_profiles())], between=other)
    assert rows(database, "SELECT DISTINCT fold_version FROM fidelog.client_profiles") == [(2,)]


def test_a_changed_fold_brings_all_rows_over_and_the_old_one_refuses_them(database: Database) -> None:
    """With version 2 of a fold replay rewrites every row; version 1 then changes nothing and names the newer one."""

    def evolve(state: Client | None, recorded: object) -> Client:
        folded = FOLD.evolve(state, recorded)
        return Client(
            folded.client_id, folded.full_name, folded.risk_profile.upper(), folded.created_at, folded.updated_at
        )

    append(database, STORY)
    heal(database)
    changed = [FoldedStreams(client_profiles(Fold("client", 2, evolve)))]
    assert {f.column for f in check(database, models=changed)} == {"risk_profile", "fold_version"}
    assert heal(database, models=changed).differing == 3
    assert check(database, models=changed) == []
    written = rows(database, "SELECT risk_profile, fold_version FROM fidelog.client_profiles ORDER BY client_id")
    assert written == [("MODERATE", 2)] * 3
    with pytest.raises(NewerFold, match=r"fold version 2, this one has 1"):
        heal(database)
    assert rows(database, "SELECT risk_profile, fold_version FROM fidelog.client_profiles ORDER BY 1") == written
    assert {f.column for f in check(database)} == {"fold_version"}


@pytest.mark.parametrize("given_up", [False, True])
def test_the_lock_is_waited_for_and_waiting_can_be_cancelled(database: Database, given_up: bool) -> None:
    """Somebody else holds the tenant: replay tries again until it has the lock, or until it is told to stop, and has
    then changed nothing."""
    append(database, STORY)
    with psycopg.connect(database.url("superuser")) as holder:
        holder.execute("SELECT 1 FROM fidelog.logs FOR UPDATE")

        def after_a_try() -> None:
            if given_up:
                raise Cancelled
            holder.rollback()

        work = Direct(database, heal=True)
        work.pause = after_a_try  # type: ignore[method-assign]
        model = FoldedStreams(client_profiles())
        (part,) = model.ranges(work.reading, "default")
        try:
            if given_up:
                with pytest.raises(Cancelled):
                    model.run(work, "default", part)
            else:
                assert model.run(work, "default", part).differing == 3
        finally:
            work.close()
    assert len(table(database, "client_profiles")) == (0 if given_up else 3)


def test_rows_are_replaced_a_few_at_a_time(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """No transaction holds the lock for more than so many rows, and fewer once it was held for long."""
    sizes: list[int] = []
    waited: list[bool] = []
    replace = Healer._replace

    def noted(self: Healer, part: _Part, careful: bool, durable: bool) -> None:
        sizes.append(len(part.ids))
        waited.append(durable)
        replace(self, part, careful, durable)

    monkeypatch.setattr(Healer, "_replace", noted)
    monkeypatch.setattr("projections.replay.healing.FIRST_ROWS", 40)
    monkeypatch.setattr("projections.replay.healing.MOST_ROWS", 60)
    append(database, [onboarded(f"c{n}") for n in range(200)])
    monkeypatch.setattr("projections.replay.healing.LONG_SECONDS", 1000.0)
    heal(database)
    assert sizes[0] == 40
    assert max(sizes) == 60
    assert sum(sizes) == 200
    assert waited == [False] * (len(sizes) - 1) + [True], "the last commit waits for the disk, for all before it"
    sizes.clear()
    monkeypatch.setattr("projections.replay.healing.LONG_SECONDS", 0.0)
    damage(database, "client_profiles", "SET position = 999")
    heal(database, models=[FoldedStreams(client_profiles(), 100)])
    assert sizes[:3] == [40, 20, 10]
    assert max(sizes[3:]) == 10, "also in the ranges that follow"
    assert sum(sizes) == 200


def test_after_a_fault_nothing_more_is_replaced(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that waited behind the one that failed is left as it is, and the fault is told."""
    replace, tried = Healer._replace, list[list[str]]()

    def failing(self: Healer, part: _Part, careful: bool, durable: bool) -> None:
        tried.append(part.ids)
        if len(tried) == 2:
            raise ReplayFailed("the second")
        replace(self, part, careful, durable)

    monkeypatch.setattr(Healer, "_replace", failing)
    monkeypatch.setattr("projections.replay.healing.FIRST_ROWS", 10)
    monkeypatch.setattr("projections.replay.healing.MOST_ROWS", 10)
    append(database, [onboarded(f"c{n:02}") for n in range(50)])
    with pytest.raises(ReplayFailed, match="the second"):
        heal(database)
    assert tried == [[f"c{n:02}" for n in range(first, first + 10)] for first in (0, 10)]
    assert len(table(database, "client_profiles")) == 10


def test_a_session_whose_commits_do_not_wait_says_so_only_within_its_transactions(database: Database) -> None:
    """Who replaces rows does not wait for the disk, but for the last of a range: what was reported done is durable."""
    session = Session(database.url("keeper"), locks=True)
    try:
        found = session.trip([(BEGIN, ()), (DURABLE, ()), (SHOW, ()), (COMMIT, ()), (SHOW, ())])
    finally:
        session.close()
    assert (found[2], found[4]) == ([("on",)], [("off",)])


def test_a_trip_ends_with_its_first_error_and_the_session_goes_on(database: Database) -> None:
    """Nothing after the statement that failed is run; what was sent is larger than any buffer between the two."""
    large = b"x" * (4 << 20)
    echo, fail = Statement("echo", "SELECT length($1::text)"), Statement("fail", "SELECT 1 / length($1::text)")
    session = Session(database.url("keeper"), locks=True)
    try:
        assert session.trip([(echo, (large,))] * 3) == [[(4 << 20,)]] * 3
        with pytest.raises(psycopg.errors.DivisionByZero):
            session.trip([(BEGIN, ()), (echo, (large,)), (fail, (b"",)), (COMMIT, ())])
        assert session.in_transaction
        session.call(ROLLBACK)
        assert session.call(echo, (b"four",)) == [(4,)]
    finally:
        session.close()
