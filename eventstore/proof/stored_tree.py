"""A tree as it was with so many leaves, and proofs of it: from the full tiles and the leaves of a log, wherever they lie."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from eventstore.proof.growth import TiledNodes
from eventstore.proof.merkle_paths import Node, consistency_proof, inclusion_proof, span_hash
from eventstore.proof.multiproof import Span
from eventstore.proof.strict import HASH_BYTES
from eventstore.proof.tiles import WIDTH, Tile, hashes_of, subtree_root, tile_with

TILES_AT_ONCE = 16
"""Tiles whose roots are made in one go: some 10 ms, after which others have their turn."""

T = TypeVar("T")


class TileSource(Protocol):
    """Where the full tiles and the leaves of one tenant's log are read."""

    @property
    def tenant_id(self) -> str:
        """Whose log it is."""

    async def tiles(self, wanted: Sequence[Tile]) -> Mapping[Tile, bytes]:
        """Each of the full tiles. Raises StoreError when one is missing."""

    async def leaf_hashes(self, after: int, count: int) -> Sequence[bytes]:
        """Of the leaves at the `count` positions behind `after`. Raises StoreError when one is missing."""


async def tile_roots(source: TileSource, tiles: Sequence[Tile]) -> list[bytes]:
    """The root of each of some full tiles. Raises MalformedProof for one that is no tile, and what reading raises."""
    roots: list[bytes] = []
    for start in range(0, len(tiles), TILES_AT_ONCE):
        part = tiles[start : start + TILES_AT_ONCE]
        found = await source.tiles(part)
        roots += [subtree_root(hashes_of(found[tile], WIDTH)) for tile in part]
        await asyncio.sleep(0)
    return roots


class RememberedRoots:
    """The roots of full tiles, which never change, at most `most` of them: a proof needs fewer than 256 on each level, and
    making all of them anew for each would take longer than sealing does."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: dict[tuple[str, Tile], bytes] = {}

    async def read(self, source: TileSource, tiles: Sequence[Tile]) -> list[bytes]:
        """As `tile_roots`; what is remembered is not read."""
        tenant_id = source.tenant_id
        found = {tile: self._known.get((tenant_id, tile)) for tile in tiles}  # others may forget some meanwhile
        missing = [tile for tile, root in found.items() if root is None]
        read = dict(zip(missing, await tile_roots(source, missing), strict=True))
        self._known.update(((tenant_id, tile), root) for tile, root in read.items())
        while len(self._known) > self._most:
            del self._known[next(iter(self._known))]
        return [found[tile] or read[tile] for tile in tiles]


class StoredTree:
    """A tree of one size, all of it sealed. What it reads of the unfinished tiles it keeps, a few kilobytes.

    Its methods raise MalformedProof for a tile that is none, and what reading raises.
    """

    def __init__(self, source: TileSource, size: int, roots: RememberedRoots) -> None:
        self._source = source
        self._roots = roots
        self._edge: dict[Tile, bytes] = {}
        self.size = size

    async def inclusion(self, index: int) -> list[bytes]:
        """The siblings of the leaf at `index` < size, from the leaf up."""
        return await self._made(lambda node: inclusion_proof(index, self.size, node))

    async def consistency(self, old_size: int) -> list[bytes]:
        """What shows that a smaller tree is its beginning; 0 < old_size <= size."""
        return await self._made(lambda node: consistency_proof(old_size, self.size, node))

    async def hashes(self, spans: Sequence[Span]) -> list[bytes]:
        """The hash of each span, as `gaps` gives them; not too many at once."""
        return await self._made(lambda node: [span_hash(start, end, node) for start, end in spans])

    async def _made(self, make: Callable[[Node], T]) -> T:
        """Make something of nodes: once to learn which, and once with them."""
        wanted: dict[Tile, None] = {}

        def learn(height: int, index: int) -> bytes:
            wanted[tile_with(height, index, self.size)[0]] = None
            return bytes(HASH_BYTES)

        make(learn)
        found = dict(await self._source.tiles([tile for tile in wanted if tile.full]))
        for tile in wanted:
            if not tile.full:
                found[tile] = await self._partial(tile)
        return make(TiledNodes(self.size, found.__getitem__))

    async def _partial(self, tile: Tile) -> bytes:
        """From the leaves, or from the full tiles of the level below."""
        known = self._edge.get(tile)
        if known is None:
            assert tile.level is not None, "a tile of hashes"
            first = tile.index * WIDTH
            if tile.level == 0:
                hashes = await self._source.leaf_hashes(first, tile.width)
            else:
                below = [Tile(tile.level - 1, index) for index in range(first, first + tile.width)]
                hashes = await self._roots.read(self._source, below)
            known = self._edge[tile] = b"".join(hashes)
        return known
