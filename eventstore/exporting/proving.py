"""Proofs of a tenant's log, from its full tiles, the rows after them, and its published checkpoints."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from eventstore.errors import StoreError
from eventstore.leaves import leaf
from eventstore.proof.checkpoint import Checkpoint
from eventstore.proof.growth import TiledNodes
from eventstore.proof.merkle import leaf_hash
from eventstore.proof.merkle_paths import Node, consistency_proof, inclusion_proof, span_hash
from eventstore.proof.multiproof import Span
from eventstore.proof.note import Note, parse_lines
from eventstore.proof.strict import HASH_BYTES
from eventstore.proof.tiles import LEVEL_BITS, WIDTH, Tile, hashes_of, partial_width, subtree_root, tile_with
from eventstore.reading import READ_FORWARD, Reader
from eventstore.rows import Undecoded, recorded_event
from eventstore.statements import Statement, statement

CHECKPOINT = statement("eventstore", "proof_checkpoint")
WITNESSED = statement("eventstore", "proof_witnessed")
TILES = statement("eventstore", "proof_tiles")

REMEMBERED_ROOTS = 20_000
AT_ONCE = 128
"""Tiles read in one statement: a mebibyte."""

T = TypeVar("T")


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
        self._roots: OrderedDict[tuple[str, int, int], bytes] = OrderedDict()
        """Of full tiles, which never change, by tenant, level and index."""

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
        (found,) = await self._leaves(tenant_id, position - 1, 1)
        return found

    def tree(self, tenant_id: str, size: int) -> ProvenTree:
        """The tree as it was with `size` leaves, all of them sealed."""
        return ProvenTree(self, tenant_id, size)

    async def _leaves(self, tenant_id: str, after: int, count: int) -> list[bytes]:
        rows = await self._reader.rows(tenant_id, READ_FORWARD, (tenant_id, after, count))
        if [row[1] for row in rows] != list(range(after + 1, after + count + 1)):
            raise NotSealed(f"of the events after position {after} some are missing; run fidelog verify")
        return [leaf(recorded_event(row, Undecoded())) for row in rows]

    async def last_hashes(self, tenant_id: str, size: int) -> list[bytes]:
        """The leaf hashes of the tile that is not full at that size."""
        width = partial_width(0, size)
        return [leaf_hash(one) for one in await self._leaves(tenant_id, size - width, width)] if width else []

    async def tiles(self, tenant_id: str, wanted: Iterable[Tile]) -> dict[Tile, bytes]:
        """Full tiles. Raises NotSealed when one is missing."""
        asked = list(wanted)
        found: dict[Tile, bytes] = {}
        for start in range(0, len(asked), AT_ONCE):
            part = asked[start : start + AT_ONCE]
            places = [one.level for one in part], [one.index for one in part]
            rows = await self._reader.rows_planned(tenant_id, TILES, (tenant_id, *places))
            found |= {Tile(level, index): bytes(hashes) for level, index, hashes in rows}
        if len(found) != len(set(asked)):
            raise NotSealed("a tile is missing; run fidelog verify")
        return found

    async def roots(self, tenant_id: str, level: int, first: int, count: int) -> list[bytes]:
        """The roots of so many full tiles of a level."""
        places = range(first, first + count)
        missing = [Tile(level, index) for index in places if (tenant_id, level, index) not in self._roots]
        for tile, hashes in (await self.tiles(tenant_id, missing)).items():
            self._roots[tenant_id, level, tile.index] = subtree_root(hashes_of(hashes, WIDTH))
        found = [self._roots[tenant_id, level, index] for index in places]
        while len(self._roots) > REMEMBERED_ROOTS:
            self._roots.popitem(last=False)
        return found


class ProvenTree:
    """A tree of one size. What it reads of the unfinished tiles it keeps, a few kilobytes."""

    def __init__(self, proofs: Proofs, tenant_id: str, size: int) -> None:
        self._proofs = proofs
        self._tenant_id = tenant_id
        self._edge: dict[Tile, bytes] = {}
        self.size = size

    async def inclusion(self, index: int) -> list[bytes]:
        """Raises DatabaseUnavailable, NotSealed."""
        return await self._made(lambda node: inclusion_proof(index, self.size, node))

    async def consistency(self, old_size: int) -> list[bytes]:
        """0 < old_size <= size. Raises DatabaseUnavailable, NotSealed."""
        return await self._made(lambda node: consistency_proof(old_size, self.size, node))

    async def hashes(self, spans: Sequence[Span]) -> list[bytes]:
        """The hash of each span, as `gaps` gives them; not too many at once. Raises DatabaseUnavailable, NotSealed."""
        return await self._made(lambda node: [span_hash(start, end, node) for start, end in spans])

    async def _made(self, make: Callable[[Node], T]) -> T:
        """Make something of nodes: once to learn which, and once with them."""
        wanted: dict[Tile, None] = {}

        def learn(height: int, index: int) -> bytes:
            wanted[tile_with(height, index, self.size)[0]] = None
            return bytes(HASH_BYTES)

        make(learn)
        found = await self._proofs.tiles(self._tenant_id, [tile for tile in wanted if tile.full])
        for tile in wanted:
            if not tile.full:
                found[tile] = await self._partial(tile)
        return make(TiledNodes(self.size, found.__getitem__))

    async def _partial(self, tile: Tile) -> bytes:
        known = self._edge.get(tile)
        if known is None:
            if tile.level == 0:
                hashes = await self._proofs.last_hashes(self._tenant_id, self.size)
            else:
                assert tile.level is not None, "a tile of hashes"
                first = (self.size >> LEVEL_BITS * tile.level) // WIDTH * WIDTH
                hashes = await self._proofs.roots(self._tenant_id, tile.level - 1, first, tile.width)
            known = self._edge[tile] = b"".join(hashes)
        return known
