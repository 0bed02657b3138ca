"""The sealer on real databases: all is sealed once, whatever dies; what would contradict a signature is refused."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path
from typing import Any

import psycopg
import pytest

from eventstore import durable
from eventstore.database import Database
from eventstore.proof import signed_state
from eventstore.proof.errors import SigningRefused
from eventstore.sealing.incarnations import Incarnations
from eventstore.sealing.sealer import Sealer
from eventstore.sealing.store import SealStore
from eventstore.statements import statement
from tests.clusters import Cluster
from tests.eventstore.sealing.rows import check, fill, first_log, seal_once, sealer
from tests.eventstore.writer.harness import TENANT, rows
from tests.killing import die_at

POINTS = ((os, "fsync"), (os, "link"), (Path, "replace"), (durable, "fsync_folder"), (signed_state, "write_durably"),
          (SealStore, "publish"), (SealStore, "_insert"), (psycopg.AsyncConnection, "execute"))  # fmt: skip
"""Before and after each of these a process may die: writes of the state folder, statements, commits."""


def killed(database: Database, folder: Path, number: int) -> bool:
    """Seal in a process that is killed at a point; whether it came so far."""
    child = os.fork()
    if child == 0:
        try:
            die_at(POINTS, number)
            seal_once(database, first_log(folder))
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or status == 0, "it was killed, or all went well"
    return os.WIFSIGNALED(status)


def test_a_sealer_killed_at_any_point_signs_one_history(database: Database, tmp_path: Path) -> None:
    """From the first key on: between signing and publishing, within the transaction, after it. Whoever comes next
    publishes what was signed and goes on; nothing is signed twice, and no tile is missing."""
    number = size = 0
    while True:
        number += 1
        fill(database, size + 1, size + 300)
        size += 300
        came_so_far = killed(database, tmp_path, number)
        seal_once(database, first_log(tmp_path))
        if not came_so_far:
            break
    assert number > 15, "it was killed at many points"
    assert check(database, first_log(tmp_path)) == size


def test_a_sealer_that_is_killed_before_its_first_signature_begins_again(pg: Cluster, tmp_path: Path) -> None:
    """A first key without a signature, a signature without its publication: the next process goes on from there."""
    with pg.copy() as name:
        database, number = pg.database(name), 0
        while killed(database, tmp_path, number := number + 1):
            assert check_begun(database, tmp_path)
        fill(database, 1, 10)
        seal_once(database, first_log(tmp_path))
        assert check(database, first_log(tmp_path)) == 10


def check_begun(database: Database, folder: Path) -> bool:
    """Nothing is published that was not signed."""
    return (folder / "signed" / TENANT / "last-checkpoint").exists() or not rows(
        database, "SELECT 1 FROM fidelog.checkpoints"
    )


def refused(database: Database, folder: Path) -> str:
    """Why nothing is sealed; nothing was signed or published."""
    before = rows(database, "SELECT count(*) FROM fidelog.checkpoints")
    latest = folder / "signed" / TENANT / "last-checkpoint"
    signed = latest.read_bytes() if latest.exists() else None
    with pytest.raises(SigningRefused) as refusal:
        seal_once(database, first_log(folder))
    assert rows(database, "SELECT count(*) FROM fidelog.checkpoints") == before
    assert (latest.read_bytes() if latest.exists() else None) == signed
    assert "fidelog log reincarnate" in str(refusal.value)
    return str(refusal.value)


def test_what_may_contradict_a_signature_is_not_signed(pg: Cluster, tmp_path: Path) -> None:
    """A state folder that is lost, older, or of another origin; a database that a restore took back, also when it was
    written on since; rows or tiles that are gone: each is refused with its reason."""
    mine = tmp_path / "mine"
    with pg.copy() as name:
        database = pg.database(name)
        fill(database, 1, 300)
        seal_once(database, first_log(mine))
        older = tmp_path / "older"
        copied(mine, older)
        pg.drop("fidelog_restored")
        pg.create("fidelog_restored", name)
        try:
            fill(database, 301, 700)
            seal_once(database, first_log(mine))
            assert "the state folder none" in refused(database, tmp_path / "lost")
            assert "older than the database" in refused(database, older)
            with pytest.raises(SigningRefused, match=r"not of other\.example"):
                seal_once(database, Incarnations(mine, "other.example").current(TENANT))
            restored = pg.database("fidelog_restored")
            assert "700 was signed and the log has 300 events" in refused(restored, mine)
            fill(restored, 301, 800, "another")
            assert "the first 700 events are not those that were signed" in refused(restored, mine)
            with psycopg.connect(restored.url("superuser")) as superuser:
                superuser.execute("ALTER TABLE fidelog.tiles DISABLE TRIGGER ALL")
                superuser.execute("DELETE FROM fidelog.tiles")
            assert "the full tile 0 of level 0 is missing" in refused(restored, older)
        finally:
            pg.drop("fidelog_restored")
        assert check(database, first_log(mine)) == 700


def copied(source: Path, target: Path) -> None:
    """A state folder as it is now, with the modes of its files."""
    shutil.copytree(source, target)


def test_one_process_seals_and_another_takes_over(database: Database, tmp_path: Path) -> None:
    """While one lives, the other only tells how far the log is sealed; when its session ends, the other seals."""
    fill(database, 1, 10)

    async def reached(*sealers: Any, size: int) -> None:
        async with asyncio.timeout(20):
            while any(one.position != size for one in sealers):
                await asyncio.sleep(0.01)

    async def story() -> None:
        one, two = sealer(first_log(tmp_path)), sealer(first_log(tmp_path))
        first = asyncio.create_task(one.run(database.url("sealer")))
        await reached(one, size=10)
        second = asyncio.create_task(two.run(database.url("sealer")))
        await reached(two, size=10)
        fill(database, 11, 20)
        two.wake()
        one.wake()
        await reached(one, two, size=20)
        assert (one.fault, two.fault) == (None, None)
        first.cancel()
        fill(database, 21, 30)
        await reached(two, size=30)
        second.cancel()
        await asyncio.gather(first, second, return_exceptions=True)

    asyncio.run(story())
    assert check(database, first_log(tmp_path)) == 30


def test_an_idle_log_signs_nothing_and_wakes_at_once(database: Database, tmp_path: Path) -> None:
    """Turns without new events leave checkpoints and state as they are."""
    fill(database, 1, 5)

    async def story() -> None:
        one = sealer(first_log(tmp_path))
        task = asyncio.create_task(one.run(database.url("sealer")))
        await one.until(lambda: one.position == 5 and one.turns > 5, 20)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(story())
    assert rows(database, "SELECT size FROM fidelog.checkpoints ORDER BY size") == [(0,), (5,)]
    assert check(database, first_log(tmp_path)) == 5


def test_a_log_that_is_far_behind_is_sealed_without_a_pause(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Turns whose time was over before their work was follow each other, though nobody wakes the sealer."""
    monkeypatch.setattr("eventstore.sealing.sealer.CHECKPOINT_SECONDS", 0.001)
    fill(database, 1, 10_000)

    async def story() -> None:
        log = first_log(tmp_path)
        one = Sealer(TENANT, lambda: log, every=3_600)
        task = asyncio.create_task(one.run(database.url("sealer")))
        async with asyncio.timeout(30):
            while one.position < 10_000:
                await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(story())
    assert len(rows(database, "SELECT 1 FROM fidelog.checkpoints")) > 2, "it took several turns"
    assert check(database, first_log(tmp_path)) == 10_000


def test_plans_of_the_sealer_touch_few_pages(database: Database, tmp_path: Path) -> None:
    """However long the log: each statement that a turn or a request asks finds its rows through an index."""
    fill(database, 1, 20_000)
    seal_once(database, first_log(tmp_path))
    rows(database, "INSERT INTO fidelog.checkpoints SELECT tenant_id, origin, 100000 + n, root, note, signed_at"
                   " FROM fidelog.checkpoints, generate_series(1, 5000) AS n WHERE size = 0")  # fmt: skip
    origin = first_log(tmp_path).origin
    asked = {
        "seal_look": f"'{TENANT}', '{origin}'", "newest_checkpoint": f"'{TENANT}', '{origin}'",
        "any_checkpoint": f"'{TENANT}'", "leaf_rows": f"'{TENANT}', 12000, 20", "full_tiles": f"'{TENANT}', 0, 50, 2",
        "proof_tiles": f"'{TENANT}', array[0, 0, 0], array[50, 51, 52]",
        "published_between": f"'{TENANT}', '{origin}', 200, 300", "cosignature_lines": f"'{TENANT}', '{origin}', 5",
    }  # fmt: skip
    with psycopg.connect(database.url("sealer"), autocommit=True) as session:
        session.execute("SELECT set_config('fidelog.tenant_id', %s, false)", (TENANT,))
        session.execute("SET plan_cache_mode = force_generic_plan")
        for name, arguments in asked.items():
            session.execute(f"PREPARE {name} AS {statement('eventstore', name).sql}".encode())
            explained = session.execute(
                f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE {name} ({arguments})".encode()
            )
            row = explained.fetchone()
            assert row is not None
            plan = row[0][0]["Plan"]
            assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 40, name
