"""No witness can do harm: what one that lies, fails or is slow costs, and what is told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from eventstore.database import Database
from eventstore.proof.keys import Kind
from eventstore.proof.note import Note, SignatureLine
from eventstore.proof.signing_keys import SigningKey
from eventstore.sealing import cosigned, witnesses
from eventstore.sealing.store import Connection
from tests.eventstore.proof.one_log import OTHER
from tests.eventstore.sealing.scene import KEYS, LOG, TIME, Scene, played, settle, silent
from tests.eventstore.writer.harness import TENANT


def signing(
    signer: SigningKey, text: Callable[[str], str] = lambda text: text
) -> Callable[[bytes], Awaitable[tuple[int, bytes]]]:
    """A witness that answers with the signature of a key over a text."""

    async def answer(body: bytes) -> tuple[int, bytes]:
        note = Note.parse(body.partition(b"\n\n")[2])
        return 200, SignatureLine.made_by(signer, text(note.text), TIME).text.encode()

    return answer


def saying(status: int, body: bytes) -> Callable[[bytes], Awaitable[tuple[int, bytes]]]:
    """A witness that answers always the same."""

    async def answer(_body: bytes) -> tuple[int, bytes]:
        return status, body

    return answer


OF_ANOTHER = SignatureLine(KEYS[0].verifier.name, KEYS[0].verifier.id, bytes(72)).text.encode()

LIES: dict[str, tuple[Callable[[bytes], Awaitable[tuple[int, bytes]]], str]] = {
    "another key": (
        signing(SigningKey(KEYS[0].verifier.name, Kind.COSIGNER, b"x" * 32)),
        "no signature of a known key",
    ),
    "another witness": (signing(KEYS[2]), "no signature of a known key"),
    "another text": (signing(KEYS[0], lambda text: text.replace("a\n", "b\n", 1)), "was not made by its key"),
    "no signature": (saying(200, OF_ANOTHER), "was not made by its key"),
    "nothing": (saying(200, b""), "no cosignature"),
    "no text": (saying(200, b"\xff\n"), "not UTF-8"),
    "too much": (saying(200, b"x" * (1 << 18)), "bytes"),
    "an error": (saying(500, b""), "it answered 500"),
    "not trusted": (saying(403, b""), "it answered 403"),
    "a redirect": (saying(302, b""), "it answered 302"),
    "always a conflict": (saying(409, b"3\n"), "it answered 409"),
    "a conflict without a size": (saying(409, b"+3\n"), "without the size"),
    "a conflict beyond the log": (saying(409, b"9999\n"), "sealed up to"),
    "silence": (silent, "no answer within"),
}


def test_a_witness_that_lies_harms_nobody(database: Database, tmp_path: Path) -> None:
    """Whatever a witness answers, nothing of it is kept and its fault is told; the others' cosignatures are there, and once it
    answers as it should, so is its own."""

    async def play(scene: Scene, connection: Connection) -> None:
        for size, (answer, fault) in enumerate(LIES.values(), 5):
            scene.asked[0].answer = answer
            scene.seal(size)
            await scene.turn(connection)
            assert [row for row in scene.rows() if row[0] == size] == [(size, KEYS[1].verifier.name)]
            assert fault in str(scene.faults[0])
            assert scene.faults[1] is None
            assert scene.size in {None, size - 1}
            scene.asked[0].answer = None
            scene.now += witnesses.FIRST_PAUSE
            await scene.turn(connection)
            assert (scene.faults, scene.size) == ([None, None], size)

    scene = played(database, tmp_path, play)
    assert scene.rows() == [(5 + size, key.verifier.name) for size in range(len(LIES)) for key in KEYS[:2]]


def test_a_witness_that_fails_is_left_alone_ever_longer(database: Database, tmp_path: Path) -> None:
    """After each failure the pause doubles, up to five minutes, whatever is sealed meanwhile; a success ends that."""

    async def play(scene: Scene, connection: Connection) -> None:
        scene.asked[0].answer = silent
        times: list[float] = []
        for size, second in enumerate((*range(33), 62, 63, 126, 127, 254, 255, 510, 511, 810, 811, 1110, 1111), 1):
            scene.now = float(second)
            scene.seal(size)
            before = len(scene.asked[0].requests)
            await scene.cosigning.turn(connection)
            await settle(scene.cosigning)
            times += [scene.now] * (len(scene.asked[0].requests) - before)
        assert times == [0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 811, 1111]
        scene.asked[0].answer = None
        scene.now += witnesses.LONGEST_PAUSE
        await scene.turn(connection)
        scene.seal(200)
        await scene.turn(connection)
        assert scene.size == 200

    played(database, tmp_path, play)


def test_a_slow_witness_delays_no_other(database: Database, tmp_path: Path) -> None:
    """Where the quorum does without it, the other gets every checkpoint while the slow one has not answered the first. Its late
    answer is kept with the checkpoint it was asked about."""

    async def play(scene: Scene, connection: Connection) -> None:
        slow, begun = asyncio.Event(), asyncio.Event()

        async def slowly(body: bytes) -> tuple[int, bytes]:
            begun.set()
            await slow.wait()
            return await scene.asked[0].truth(body)

        scene.asked[0].answer = slowly
        for size in (5, 6, 300):
            scene.seal(size)
            await scene.cosigning.turn(connection)
            assert scene.cosigning.witnesses[1].asking is not None
            await scene.cosigning.witnesses[1].asking
        assert begun.is_set()
        assert scene.rows() == [(size, KEYS[1].verifier.name) for size in (5, 6, 300)]
        slow.set()
        await settle(scene.cosigning)
        assert (5, KEYS[0].verifier.name) in scene.rows()

    played(database, tmp_path, play, threshold=1)


def test_another_history_gets_no_cosignature(database: Database, tmp_path: Path) -> None:
    """A log that was rewritten and signed anew is refused by every witness that saw it before, and that is told."""

    async def play(scene: Scene, connection: Connection) -> None:
        scene.seal(5)
        await scene.turn(connection)
        scene.seal(9, OTHER)
        await scene.turn(connection)
        assert scene.faults == ["it answered 422 to the checkpoint of size 9"] * 2
        assert scene.size == 5

    scene = played(database, tmp_path, play)
    assert {size for size, _ in scene.rows()} == {5}


def test_a_log_that_lost_events_is_told_apart(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a witness has seen more than the log now holds, its conflict is told as that, and it is asked again later."""
    monkeypatch.setattr(cosigned, "PATIENCE", 0.0)

    async def play(scene: Scene, connection: Connection) -> None:
        assert (await scene.asked[0].truth(LOG.request(0, 50)))[0] == 200
        scene.seal(20)
        await scene.turn(connection)
        assert scene.faults == ["it says it cosigned size 50, and the log is sealed up to 20 only", None]
        scene.seal(60)
        scene.now += witnesses.FIRST_PAUSE
        await scene.turn(connection)
        await scene.turn(connection)
        assert (scene.faults, scene.size) == ([None, None], 60)

    played(database, tmp_path, play)


def test_lines_nobody_can_read_count_for_nothing(database: Database, tmp_path: Path) -> None:
    """Whoever writes something else into the table makes no witness of it, and stops nothing."""

    async def play(scene: Scene, connection: Connection) -> None:
        scene.seal(5)
        await connection.execute(
            b"INSERT INTO fidelog.cosignatures (tenant_id, origin, size, witness, line) VALUES ($1, $2, 5, 'x', 'x')",
            (TENANT, LOG.origin),
        )
        await scene.turn(connection)
        assert (scene.faults, scene.size) == ([None, None], 5)

    played(database, tmp_path, play)
