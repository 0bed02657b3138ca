"""A log in the database and witnesses of the test's, turn by turn."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from api.witness.cosigner import Cosigner
from eventstore.database import Database
from eventstore.proof.keys import Kind
from eventstore.proof.merkle_paths import MemoryTree, consistency_proof
from eventstore.proof.note import Note
from eventstore.proof.policy import Group, Policy, Witness
from eventstore.proof.signing_keys import SigningKey
from eventstore.sealing import witnesses
from eventstore.sealing.cosigning import Cosigning
from eventstore.sealing.store import Connection, connect
from eventstore.sealing.witnesses import Unreachable
from tests.eventstore.proof.one_log import TREE, OneLog
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


async def silent(body: bytes) -> tuple[int, bytes]:
    """A witness that cannot be reached."""
    raise Unreachable("no answer within 10 seconds")
