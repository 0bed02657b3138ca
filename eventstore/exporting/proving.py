"""Proofs of a tenant's log, from its full tiles, the rows after them, and its published checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eventstore.errors import StoreError
from eventstore.leaves import leaf
from eventstore.proof.checkpoint import Checkpoint
from eventstore.proof.merkle import leaf_hash
from eventstore.proof.note import Note, parse_lines
from eventstore.proof.stored_tree import RememberedRoots, StoredTree
from eventstore.proof.tiles import Tile
from eventstore.reading import READ_FORWARD, Reader
from eventstore.rows import Undecoded, recorded_event
from eventstore.statements import Statement, statement

CHECKPOINT = statement("eventstore", "proof_checkpoint")
WITNESSED = statement("eventstore", "proof_witnessed")
TILES = statement("eventstore", "proof_tiles")

REMEMBERED_ROOTS = 20_000
AT_ONCE = 128
"""Tiles read in one statement: a mebibyte."""


class NotSealed(StoreError):
    """What a proof is made of is not there: a tile or a row that a published checkpoint covers is missing."""


@dataclass(frozen=True, slots=True)
class Published:
    """A published checkpoint, with its cosignatures."""

    checkpoint: Checkpoint
    note: Note
    cosignatures: int = 0


class Proofs:
    """Makes proofs for every tenant."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._roots = RememberedRoots(REMEMBERED_ROOTS)

    async def newest(self, tenant_id: str, origin: str) -> Published | None:
        """The newest checkpoint; None before the first. Raises DatabaseUnavailable, MalformedProof."""
        return await self._published(CHECKPOINT, tenant_id, origin)

    async def witnessed(self, tenant_id: str, origin: str) -> Published | None:
        """The newest that a witness cosigned; None before the first. Raises DatabaseUnavailable, MalformedProof."""
        return await self._published(WITNESSED, tenant_id, origin)

    async def _published(self, wanted: Statement, tenant_id: str, origin: str) -> Published | None:
        rows = await self._reader.rows_planned(tenant_id, wanted, (tenant_id, origin))
        if not rows:
            return None
        size, root, text, cosignatures = rows[0]
        note = Note.parse(text.encode())
        lines = [line for one in cosignatures for line in parse_lines(one if one.endswith("\n") else f"{one}\n")]
        return Published(Checkpoint(origin, size, bytes(root)), Note(note.text, (*note.lines, *lines)), len(lines))

    async def leaf(self, tenant_id: str, position: int) -> bytes:
        """The leaf of an event. Raises NotSealed when there is none."""
        (found,) = await _Sealed(self._reader, tenant_id).leaves(position - 1, 1)
        return found

    def tree(self, tenant_id: str, size: int) -> StoredTree:
        """The tree as it was with `size` leaves, all of them sealed. Its proofs raise DatabaseUnavailable, NotSealed."""
        return StoredTree(_Sealed(self._reader, tenant_id), size, self._roots)


@dataclass(frozen=True, slots=True)
class _Sealed:
    """A tenant's tiles and leaves, as they are read for whoever asks."""

    reader: Reader
    tenant_id: str

    async def tiles(self, wanted: Sequence[Tile]) -> dict[Tile, bytes]:
        """Full tiles. Raises NotSealed when one is missing."""
        found: dict[Tile, bytes] = {}
        for start in range(0, len(wanted), AT_ONCE):
            part = wanted[start : start + AT_ONCE]
            places = [one.level for one in part], [one.index for one in part]
            rows = await self.reader.rows_planned(self.tenant_id, TILES, (self.tenant_id, *places))
            found |= {Tile(level, index): bytes(hashes) for level, index, hashes in rows}
        if len(found) != len(set(wanted)):
            raise NotSealed("a tile is missing; run fidelog verify")
        return found

    async def leaf_hashes(self, after: int, count: int) -> list[bytes]:
        """Raises NotSealed when one is missing."""
        return [leaf_hash(one) for one in await self.leaves(after, count)]

    async def leaves(self, after: int, count: int) -> list[bytes]:
        rows = await self.reader.rows(self.tenant_id, READ_FORWARD, (self.tenant_id, after, count))
        if [row[1] for row in rows] != list(range(after + 1, after + count + 1)):
            raise NotSealed(f"of the events after position {after} some are missing; run fidelog verify")
        return [leaf(recorded_event(row, Undecoded())) for row in rows]
