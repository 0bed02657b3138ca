"""Collecting cosignatures: which checkpoint is shown to whom, and what is kept."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from api.witness.cosigner import Cosigner
from eventstore.database import Database
from eventstore.proof.note import Note, parse_lines
from eventstore.sealing import cosigned, cosigning
from eventstore.sealing.store import Connection, connect
from eventstore.statements import Statement
from tests.eventstore.proof.one_log import OneLog
from tests.eventstore.sealing.scene import KEYS, LOG, Scene, played, settle, silent
from tests.eventstore.writer.harness import TENANT, rows


def test_each_checkpoint_is_cosigned_by_each_witness(database: Database, tmp_path: Path) -> None:
    """As the log grows, each new checkpoint gets a line of every witness that a verifier with the policy accepts; what is
    sealed later than it is not forgotten, and nobody is asked twice."""

    async def play(scene: Scene, connection: Connection) -> None:
        await scene.turn(connection)
        assert (scene.size, scene.cosigning.newest) == (None, 0)
        for size in (0, 1, 2, 300, 400):
            note = scene.seal(size)
            await scene.turn(connection)
            lines = rows(database, f"SELECT line FROM fidelog.cosignatures WHERE size = {size}")
            if size:
                whole = Note(note.text, (*note.lines, *(line for (text,) in lines for line in parse_lines(text))))
                assert len(scene.policy.accept(whole).witnesses) == 2
                assert scene.size == scene.cosigning.newest == size

    scene = played(database, tmp_path, play)
    assert scene.rows() == [(size, key.verifier.name) for size in (1, 2, 300, 400) for key in KEYS[:2]]
    assert [len(asked.requests) for asked in scene.asked] == [4, 4]


def test_a_witness_that_stands_elsewhere_is_asked_again_from_there(database: Database, tmp_path: Path) -> None:
    """After a restart nothing is known of a witness: its conflict says where it stands, and the next request begins there."""

    async def play(scene: Scene, connection: Connection) -> None:
        assert (await scene.asked[0].truth(LOG.request(0, 7)))[0] == 200
        scene.seal(300)
        await scene.turn(connection)
        assert [len(asked.requests) for asked in scene.asked] == [2, 1]
        assert scene.size == 300
        scene.cosigning = scene.process()
        await scene.turn(connection)
        assert scene.size == 300
        assert [len(asked.requests) for asked in scene.asked] == [2, 1]

    played(database, tmp_path, play)


def test_a_quorum_meets_on_one_checkpoint(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint that one witness has cosigned is gone on with until the other has, though newer ones are there: two that
    took the newest each time would never meet. One that does not come is not waited for longer than PATIENCE."""

    async def play(scene: Scene, connection: Connection) -> None:
        gates = {5: asyncio.Event(), 9: asyncio.Event()}
        asked = asyncio.Event()

        async def slowly(body: bytes) -> tuple[int, bytes]:
            asked.set()
            await gates[int(body.partition(b"\n\n")[2].split(b"\n")[1])].wait()
            return await scene.asked[0].truth(body)

        scene.asked[0].answer = slowly
        scene.seal(5)
        await scene.cosigning.turn(connection)
        await asked.wait()
        for size in (6, 7, 9):
            scene.seal(size)
            await scene.cosigning.turn(connection)
        assert scene.rows() == [(5, KEYS[1].verifier.name)]
        gates[5].set()
        await settle(scene.cosigning)
        await scene.cosigning.turn(connection)
        assert scene.size == 5
        assert scene.cosigning.witnesses[1].asking is not None
        await scene.cosigning.witnesses[1].asking
        assert scene.rows()[-1] == (9, KEYS[1].verifier.name)
        monkeypatch.setattr(cosigned, "PATIENCE", 0.0)
        scene.seal(10)
        await scene.cosigning.turn(connection)
        assert scene.cosigning.witnesses[1].asking is not None
        await scene.cosigning.witnesses[1].asking
        assert scene.rows()[-1] == (10, KEYS[1].verifier.name)
        gates[9].set()
        await settle(scene.cosigning)
        await scene.cosigning.turn(connection)
        assert scene.size == 9
        await settle(scene.cosigning)

    played(database, tmp_path, play)


def test_many_processes_collect_once(database: Database, tmp_path: Path) -> None:
    """Four processes that find each checkpoint at the same moment keep one line of each witness, and none takes another's
    success for a fault."""

    async def play(scene: Scene, connection: Connection) -> None:
        processes = [scene.process() for _ in range(4)]
        sessions = [await scene.session() for _ in processes]
        try:
            for size in (5, 6, 300):
                scene.seal(size)
                for _ in range(2):
                    pairs = zip(processes, sessions, strict=True)
                    await asyncio.gather(*(process.turn(session) for process, session in pairs))
                    await asyncio.gather(*map(settle, processes))
        finally:
            for session in sessions:
                await session.close()
        assert {witness.fault for process in processes for witness in process.witnesses} == {None}

    scene = played(database, tmp_path, play)
    assert scene.rows() == [(size, key.verifier.name) for size in (5, 6, 300) for key in KEYS[:2]]


def test_another_origin_begins_anew(database: Database, tmp_path: Path) -> None:
    """When a log goes on under another origin, its witnesses are asked from nothing, and what was witnessed is that origin's."""
    other = OneLog("log.example/a/2")

    async def play(scene: Scene, connection: Connection) -> None:
        scene.seal(300)
        await scene.turn(connection)
        for asked in scene.asked:
            asked.honest = Cosigner(tmp_path / "new" / asked.honest.verifier.name, KEYS[scene.asked.index(asked)],
                                    {other.origin: [other.key.verifier]})  # fmt: skip
        scene.seal(7, log=other)
        await scene.turn(connection)
        assert scene.cosigning.witnessed is not None
        assert (scene.cosigning.witnessed.origin, scene.size, scene.faults) == (other.origin, 7, [None, None])

    played(database, tmp_path, play)


def test_what_was_witnessed_long_ago_is_found(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that starts finds the newest checkpoint with a quorum behind many that only one witness cosigned."""
    monkeypatch.setattr(cosigned, "PAGE", 3)
    monkeypatch.setattr(cosigned, "PATIENCE", 0.0)

    async def play(scene: Scene, connection: Connection) -> None:
        scene.seal(5)
        await scene.turn(connection)
        scene.asked[0].answer = silent
        for size in range(6, 30):
            scene.seal(size)
            await scene.turn(connection)
        scene.cosigning = scene.process()
        await scene.turn(connection)
        assert (scene.size, scene.cosigning.newest) == (5, 29)
        anybody = await cosigned.witnessed(connection, TENANT, LOG.origin, None)
        assert anybody is not None
        assert anybody.size == 29

    played(database, tmp_path, play)


GROW = """
    WITH sizes AS (SELECT g FROM generate_series(1, 20000) AS g), seals AS (
        INSERT INTO fidelog.checkpoints (tenant_id, origin, size, root, note, signed_at)
        SELECT t, 'o', g, decode(repeat('00', 32), 'hex'), 'n', now() + g * interval '1 s'
        FROM sizes, unnest(ARRAY['default', 'other']) AS t)
    INSERT INTO fidelog.cosignatures (tenant_id, origin, size, witness, line)
    SELECT t, 'o', g, w, 'x' FROM sizes, unnest(ARRAY['default', 'other']) AS t, unnest(ARRAY['a', 'b']) AS w
"""


def test_a_look_costs_the_same_at_any_age_of_the_log(database: Database) -> None:
    """What is asked twice a second goes through indexes: planned by the session on empty tables, after twenty thousand
    checkpoints it touches a few pages."""
    asked: dict[Statement, str] = {
        cosigned.LOOK: f"'{TENANT}'", cosigned.RECENT: f"'{TENANT}', 'o', 16", cosigned.COSIGNED: f"'{TENANT}', 'o', 15000, 20",
        cosigning.INSERT: f"'{TENANT}', 'o', 20001, 'a', 'x'",
    }  # fmt: skip

    async def main() -> None:
        async with await connect(database.url("sealer"), TENANT) as session:
            for wanted, arguments in asked.items():
                await session.execute(f"PREPARE {wanted.name} AS {wanted.sql}".encode())
                await session.execute(f"EXPLAIN EXECUTE {wanted.name} ({arguments})".encode())
            rows(database, GROW)
            for wanted, arguments in asked.items():
                explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE {wanted.name} ({arguments})"
                ((explained,),) = await (await session.execute(explain.encode())).fetchall()
                plan = explained[0]["Plan"]
                assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 150, (wanted.name, plan)

    asyncio.run(main())
