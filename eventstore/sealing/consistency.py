"""Consistency proofs between sizes of a sealed log, from its tiles and the rows after them."""

from __future__ import annotations

import asyncio

from eventstore.proof.errors import MalformedProof
from eventstore.proof.growth import TiledNodes
from eventstore.proof.merkle_paths import consistency_proof
from eventstore.proof.strict import HASH_BYTES
from eventstore.proof.tiles import WIDTH, Tile, hashes_of, subtree_root, tile_with
from eventstore.sealing.store import Connection, SealStore

MOST_ROOTS = 2_048
"""Roots of full tiles that are remembered, fewer than 256 of which a proof needs on each level: they never change, and making
all of them anew for each checkpoint would take longer than sealing it."""
TILES_AT_ONCE = 16


class ConsistencyProofs:
    """Of one tenant's log."""

    def __init__(self, tenant_id: str) -> None:
        self._tenant_id = tenant_id
        self._roots: dict[tuple[int, int], bytes] = {}

    async def __call__(self, connection: Connection, old: int, new: int) -> list[bytes]:
        """From the first size to the second, both sealed, 0 < old <= new. Raises MalformedProof and SigningRefused when
        tiles or rows are missing, NoLeaf, psycopg.Error."""
        store = SealStore(connection, self._tenant_id)
        wanted: dict[Tile, bytes] = {}

        def learn(height: int, index: int) -> bytes:
            wanted[tile_with(height, index, new)[0]] = b""
            return bytes(HASH_BYTES)

        consistency_proof(old, new, learn)
        for tile in wanted:
            wanted[tile] = await self._hashes(store, tile)
        return consistency_proof(old, new, TiledNodes(new, wanted.__getitem__))

    async def _hashes(self, store: SealStore, tile: Tile) -> bytes:
        assert tile.level is not None, "a tile of hashes"
        if tile.full:
            return b"".join(await store.tiles(tile.level, tile.index, 1))
        if tile.level == 0:
            return b"".join(await store.leaf_hashes(tile.index * WIDTH, tile.width))
        first = tile.index * WIDTH
        end = first + tile.width
        return b"".join([await self._root(store, tile.level - 1, place, end) for place in range(first, end)])

    async def _root(self, store: SealStore, level: int, index: int, end: int) -> bytes:
        """The root of a full tile; those of some tiles behind it and before `end` are read along."""
        known = self._roots.get((level, index))
        if known is not None:
            return known
        found = await store.tiles(level, index, min(end - index, TILES_AT_ONCE))
        roots = [subtree_root(hashes_of(hashes, WIDTH)) for hashes in found]
        if not roots:
            raise MalformedProof(f"the full tile {index} of level {level} is missing")
        self._roots.update(((level, place), root) for place, root in enumerate(roots, index))
        while len(self._roots) > MOST_ROOTS:
            del self._roots[next(iter(self._roots))]
        await asyncio.sleep(0)
        return roots[0]
