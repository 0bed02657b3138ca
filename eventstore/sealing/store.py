"""What the sealer reads and writes in the database: rows of the log, tiles, checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import psycopg
from psycopg import AsyncRawCursor

from eventstore.proof.checkpoint import Checkpoint
from eventstore.proof.errors import MalformedProof, SigningRefused
from eventstore.proof.growth import FullTile
from eventstore.proof.leaf import MEMBERS, leaf_of
from eventstore.proof.merkle import leaf_hash
from eventstore.proof.note import Note
from eventstore.proof.tiles import Tile
from eventstore.sessions import begun
from eventstore.statements import Statement, statement

SESSION = statement("eventstore", "seal_session")
LOCK = statement("eventstore", "seal_lock")
LOOK = statement("eventstore", "seal_look")
NEWEST = statement("eventstore", "newest_checkpoint")
ANY = statement("eventstore", "any_checkpoint")
LEAF_ROWS = statement("eventstore", "leaf_rows")
FULL_TILES = statement("eventstore", "full_tiles")
WANTED_TILES = statement("eventstore", "proof_tiles")
INSERT_TILES = statement("eventstore", "insert_tiles")
INSERT_CHECKPOINT = statement("eventstore", "insert_checkpoint")

Connection = psycopg.AsyncConnection[tuple[Any, ...]]

POSITION = MEMBERS.index("position")


class Look(NamedTuple):
    """The newest position; the newest checkpoint's size and when it was signed, None before the first."""

    head: int
    sealed: int | None
    signed_at: datetime | None


async def connect(sealer_url: str, tenant_id: str) -> Connection:
    """A sealer's session that sees the tenant's rows. Raises psycopg.Error."""
    connection: Connection = await psycopg.AsyncConnection.connect(
        sealer_url, autocommit=True, cursor_factory=AsyncRawCursor, prepare_threshold=None
    )
    return await begun(connection, SESSION.sql.encode(), tenant_id)


class SealStore:
    """One tenant's part of the database, over a session of the sealer's."""

    def __init__(self, connection: Connection, tenant_id: str) -> None:
        self._connection = connection
        self.tenant_id = tenant_id

    async def lock(self) -> bool:
        """Try to become the tenant's one sealer, for as long as the session lives."""
        ((taken,),) = await self._rows(LOCK, self.tenant_id)
        return bool(taken)

    async def look(self, origin: str) -> Look:
        """How far the log goes, and how far it is sealed."""
        (row,) = await self._rows(LOOK, self.tenant_id, origin)
        return Look(*row)

    async def newest(self, origin: str) -> Checkpoint | None:
        """The newest checkpoint that was published under the origin."""
        return _checkpoint(await self._rows(NEWEST, self.tenant_id, origin))

    async def newest_of_any_origin(self) -> Checkpoint | None:
        """The one that was published last."""
        return _checkpoint(await self._rows(ANY, self.tenant_id))

    async def note(self, checkpoint: Checkpoint) -> str:
        """The signed note of the newest checkpoint of an origin."""
        return str((await self._rows(NEWEST, self.tenant_id, checkpoint.origin))[0][3])

    async def leaf_hashes(self, after: int, count: int) -> list[bytes]:
        """The hashes of the leaves at the `count` positions behind `after`. Raises SigningRefused when one is missing,
        and NoLeaf."""
        rows = await self._rows(LEAF_ROWS, self.tenant_id, after, count)
        for expected, row in enumerate(rows, after + 1):
            if row[POSITION] != expected:
                raise SigningRefused(f"position {expected} is missing in the log")
        if len(rows) != count:
            raise SigningRefused(f"position {after + len(rows) + 1} is missing in the log")
        return [leaf_hash(leaf_of(*row)) for row in rows]

    async def tiles(self, wanted: Sequence[Tile]) -> dict[Tile, bytes]:
        """Full tiles, a few. Raises MalformedProof when one is missing."""
        places = [one.level for one in wanted], [one.index for one in wanted]
        rows = await self._rows(WANTED_TILES, self.tenant_id, *places) if wanted else []
        found = {Tile(level, index): hashes for level, index, hashes in rows}
        for tile in wanted:
            if tile not in found:
                raise MalformedProof(f"the full tile {tile.index} of level {tile.level} is missing")
        return found

    async def publish(self, tiles: Sequence[FullTile], checkpoint: Checkpoint, note: Note) -> None:
        """Insert the checkpoint and the tiles that became full before it, in one transaction: who sees the checkpoint
        finds its tiles. Raises psycopg.Error."""
        async with self._connection.transaction():
            if tiles:
                levels, places = [full.tile.level for full in tiles], [full.tile.index for full in tiles]
                await self._insert(
                    INSERT_TILES, len(tiles), self.tenant_id, levels, places, [full.hashes for full in tiles]
                )
            values = (checkpoint.origin, checkpoint.size, checkpoint.root, note.data.decode())
            await self._insert(INSERT_CHECKPOINT, 1, self.tenant_id, *values)

    async def _rows(self, wanted: Statement, *parameters: Any) -> list[tuple[Any, ...]]:
        cursor = await self._connection.execute(wanted.sql.encode(), parameters)
        return await cursor.fetchall()

    async def _insert(self, wanted: Statement, count: int, *parameters: Any) -> None:
        """Raises SigningRefused when a rule or a trigger swallowed some, and nothing is written."""
        cursor = await self._connection.execute(wanted.sql.encode(), parameters)
        if cursor.rowcount != count:
            raise SigningRefused(f"{wanted.name}: {cursor.rowcount} of {count} rows were written")


def _checkpoint(rows: Sequence[tuple[Any, ...]]) -> Checkpoint | None:
    """From origin, size and root; what the note says is the verifier's to compare."""
    return Checkpoint(rows[0][0], rows[0][1], rows[0][2]) if rows else None
