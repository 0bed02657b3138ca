"""The sealed tree in memory: what was signed, what was added since, and the step from one to the other."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from eventstore.proof.checkpoint import Checkpoint
from eventstore.proof.growth import FullTile, GrowingTree, TiledNodes
from eventstore.proof.merkle_paths import consistency_proof
from eventstore.proof.note import Note, sign
from eventstore.proof.stored_tree import tile_roots
from eventstore.proof.tiles import LEVEL_BITS, WIDTH, Tile, partial_width
from eventstore.sealing.incarnations import Incarnation, Signers
from eventstore.sealing.store import SealStore

CHUNK = 256
"""Events read and hashed in one go: some 3 ms, after which others have their turn."""


class Signed(NamedTuple):
    """A checkpoint that is on the disk of the state folder, and its note: it may be shown."""

    checkpoint: Checkpoint
    note: Note


class SealedTree:
    """The tree of one log as it grows from the checkpoint that was signed last."""

    def __init__(self, tree: GrowingTree, signed: Checkpoint) -> None:
        self.tree = tree
        self.signed = signed
        self.filled: list[FullTile] = []
        """Tiles that became full since."""

    async def extend(self, store: SealStore, size: int) -> None:
        """Add what follows in the log, up to `size`. Raises SigningRefused, NoLeaf, psycopg.Error."""
        while (grown := self.tree.size) < size:
            self.filled += self.tree.extend(await store.leaf_hashes(grown, min(CHUNK, size - grown)))
            await asyncio.sleep(0)

    def sign(self, log: Incarnation, signers: Signers, time: int) -> Signed:
        """Sign the tree as it is, and keep that on the disk. Nothing is signed that does not continue what was signed
        before. Waits for the disk. Raises SigningRefused, KeyUnavailable, OSError."""
        old, tree = self.signed, self.tree
        new = Checkpoint(old.origin, tree.size, tree.root)
        note = sign(new.text, signers(log, False), time)
        proof = consistency_proof(old.size, new.size, TiledNodes(new.size, self._hashes)) if old.size else []
        log.state.advance(old.size, note, proof)
        return Signed(new, note)

    def published(self, checkpoint: Checkpoint) -> None:
        """The checkpoint and all tiles before it are in the database."""
        self.signed = checkpoint
        self.filled = []

    def _hashes(self, tile: Tile) -> bytes:
        """A tile at the edge: what joins the old tree to the new lies in those filled since or not full yet."""
        if not tile.full:
            return self.tree.partial(tile.level or 0)
        return next(full.hashes for full in self.filled if full.tile == tile)


async def resumed(store: SealStore, size: int) -> GrowingTree:
    """The tree of a size that was published: from its last rows and its full tiles. Raises MalformedProof when tiles
    are missing, and what reading raises."""
    width = partial_width(0, size)
    last_leaves = await store.leaf_hashes(size - width, width) if width else []
    roots: dict[int, list[bytes]] = {}
    level = 1
    while size >> (LEVEL_BITS * level):
        end = size >> (LEVEL_BITS * level)
        below = [Tile(level - 1, index) for index in range(end // WIDTH * WIDTH, end)]
        roots[level - 1] = await tile_roots(store, below)
        level += 1
    return GrowingTree.resume(size, last_leaves, lambda level, _first, _count: roots[level])
