"""Collecting cosignatures: which checkpoint is shown to whom, what is kept, and that no witness can do harm."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from api.witness.cosigner import Cosigner
from eventstore.database import Database
from eventstore.proof.keys import Kind
from eventstore.proof.merkle_paths import MemoryTree, consistency_proof
from eventstore.proof.note import Note, SignatureLine, parse_lines
from eventstore.proof.policy import Group, Policy, Witness
from eventstore.proof.signing_keys import SigningKey
from eventstore.sealing import cosigned, cosigning, witnesses
from eventstore.sealing.cosigning import Cosigning
from eventstore.sealing.store import Connection, connect
from eventstore.sealing.witnesses import Unreachable
from eventstore.statements import Statement
from tests.eventstore.proof.one_log import OTHER, TREE, OneLog
from tests.eventstore.writer.harness import TENANT, rows

LOG = OneLog("log.example/a")
TIME = 1_800_000_000
KEYS = [SigningKey(f"example.com/w{number}", Kind.COSIGNER, bytes([number]) * 32) for number in range(3)]
ROWS = "SELECT size::int, witness FROM fidelog.cosignatures ORDER BY size, witness"


@dataclass
class Asked:
    """A witness of the test's, and what it was asked. `answer` takes the place of its honest answer."""

    honest: Cosigner
    answer: Callable[[bytes], Awaitable[tuple[int, bytes]]] | None = None
    requests: list[bytes] = field(default_factory=list)

    async def __call__(self, body: bytes) -> tuple[int, bytes]:
        self.requests.append(body)
        return await (self.answer or self.truth)(body)

    async def truth(self, body: bytes) -> tuple[int, bytes]:
        """What an honest witness answers."""
        answered = self.honest.add_checkpoint(body, TIME)
        return answered.status, answered.body


async def prove(_connection: Connection, old: int, new: int) -> Sequence[bytes]:
    """The log's own proof."""
    return consistency_proof(old, new, TREE.node)


class Scene:
    """A log in the database, witnesses of which `threshold` make the quorum, and what collects, turn by turn."""

    def __init__(self, database: Database, folder: Path, number: int = 2, threshold: int = 2) -> None:
        self.database = database
        self.now = 0.0
        keys = KEYS[:number]
        self.asked = [
            Asked(Cosigner(folder / key.verifier.name, key, {LOG.origin: [LOG.key.verifier]})) for key in keys
        ]
        names = tuple(f"w{place}".encode() for place in range(number))
        members: dict[bytes, Witness | Group] = {
            name: Witness(key.verifier) for name, key in zip(names, keys, strict=True)
        }
        self.policy = Policy((LOG.key.verifier,), {**members, b"q": Group(threshold, names)}, b"q")
        self.cosigning = self.process()

    def process(self) -> Cosigning:
        """What another process of the same settings runs."""
        seen = [witnesses.Witness(asked.honest.verifier, asked) for asked in self.asked]
        return Cosigning(TENANT, self.policy, seen, prove, lambda: self.now)

    def seal(self, size: int, tree: MemoryTree = TREE, log: OneLog = LOG) -> Note:
        """Publish a checkpoint, as the sealer does."""
        note = log.note(size, tree)
        with psycopg.connect(self.database.url("sealer")) as connection:
            connection.execute("SELECT set_config('fidelog.tenant_id', %s, false)", (TENANT,))
            connection.execute(
                "INSERT INTO fidelog.checkpoints (tenant_id, origin, size, root, note) VALUES (%s, %s, %s, %s, %s)",
                (TENANT, log.origin, size, tree.root(size), note.data.decode()),
            )
        return note

    def session(self) -> Awaitable[Connection]:
        """A sealer's session."""
        return connect(self.database.url("sealer"), TENANT)

    async def turn(self, connection: Connection) -> None:
        """A turn, and the answers to it; then a look at what they were."""
        await self.cosigning.turn(connection)
        await settle(self.cosigning)
        await self.cosigning.turn(connection)
        await settle(self.cosigning)

    def rows(self) -> list[tuple[Any, ...]]:
        """Size and witness of every cosignature."""
        return rows(self.database, ROWS)

    @property
    def faults(self) -> list[str | None]:
        """What each witness is said to have done wrong."""
        return [witness.fault for witness in self.cosigning.witnesses]

    @property
    def size(self) -> int | None:
        """The size of the newest witnessed checkpoint."""
        return None if self.cosigning.witnessed is None else self.cosigning.witnessed.size


async def settle(collector: Cosigning) -> None:
    """Wait for the witnesses that were asked."""
    await asyncio.gather(*(one.asking for one in collector.witnesses if one.asking is not None))


def played(
    database: Database, folder: Path, play: Callable[[Scene, Connection], Awaitable[None]], **options: int
) -> Scene:
    """Play a story on a scene of its own."""
    scene = Scene(database, folder, **options)

    async def main() -> None:
        async with await scene.session() as connection:
            await play(scene, connection)

    asyncio.run(main())
    return scene


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


async def silent(body: bytes) -> tuple[int, bytes]:
    """A witness that cannot be reached."""
    raise Unreachable("no answer within 10 seconds")


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
