"""A tree that grows: what the sealer holds in memory, a few kilobytes at any size of the log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import reduce
from typing import NamedTuple

from eventstore.proof.errors import MalformedProof
from eventstore.proof.merkle import EMPTY_ROOT, node_hash
from eventstore.proof.strict import HASH_BYTES
from eventstore.proof.tiles import LEVEL_BITS, WIDTH, Tile, hashes_of, partial_width, subtree_root, tile_with

TileRoots = Callable[[int, int, int], Sequence[bytes]]
"""`roots(level, first, count)`: the roots of that many full tiles of a level, from the tile `first` on."""

RootOf = Callable[[Sequence[bytes]], bytes]
"""The root over the hashes of a full tile."""


class FullTile(NamedTuple):
    """A tile that became full: it never changes again. `root` is the one hash that stands for it a level above."""

    tile: Tile
    hashes: bytes
    root: bytes


class GrowingTree:
    """Leaves are only added. For each level of tiles it holds the hashes of the tile that is not full yet."""

    def __init__(self, root_of: RootOf = subtree_root) -> None:
        """`root_of` gives the root of a full tile; for who has some of them already."""
        self.size = 0
        self._root_of = root_of
        self._open: list[list[bytes]] = [[]]

    @classmethod
    def resume(cls, size: int, last_leaves: Sequence[bytes], roots: TileRoots) -> GrowingTree:
        """The tree of `size` leaves as it was: from the hashes of its last size % 256 leaves and the roots of full
        tiles, fewer than 256 of each level. Raises MalformedProof when a number of hashes or their length differs."""
        tree = cls()
        tree.size = size
        tree._open = []
        level = 0
        while level == 0 or size >> (LEVEL_BITS * level):
            width = partial_width(level, size)
            first = (size >> (LEVEL_BITS * level)) // WIDTH * WIDTH
            found = last_leaves if level == 0 else roots(level - 1, first, width) if width else ()
            if len(found) != width or any(len(one) != HASH_BYTES for one in found):
                raise MalformedProof(f"level {level} of a tree of {size} leaves ends in {width} hashes")
            tree._open.append(list(found))
            level += 1
        return tree

    def extend(self, leaves: Iterable[bytes]) -> list[FullTile]:
        """Add leaves' hashes; gives the tiles that became full, each after those below it."""
        filled: list[FullTile] = []
        level, new, old_size = 0, list(leaves), self.size
        self.size += len(new)
        while new:
            if level == len(self._open):
                self._open.append([])
            row = self._open[level] + new
            index = old_size >> LEVEL_BITS * (level + 1)
            full = len(row) // WIDTH * WIDTH
            tiles = [row[start : start + WIDTH] for start in range(0, full, WIDTH)]
            self._open[level] = row[full:]
            new = [self._root_of(hashes) for hashes in tiles]
            for place, (hashes, root) in enumerate(zip(tiles, new, strict=True), index):
                filled.append(FullTile(Tile(level, place), b"".join(hashes), root))
            level += 1
        return filled

    @property
    def root(self) -> bytes:
        """The root of all leaves; at most 255 hashes for each level of tiles."""
        subtrees = [root for hashes in reversed(self._open) for root in _complete_subtrees(hashes)]
        return reduce(lambda right, left: node_hash(left, right), reversed(subtrees)) if subtrees else EMPTY_ROOT

    def partial(self, level: int) -> bytes:
        """The hashes of the tile of a level that is not full; empty when there is none."""
        return b"".join(self._open[level]) if level < len(self._open) else b""


class TiledNodes:
    """The subtrees of a tree of `size` leaves, read from its tiles: the `node` that proofs are made of."""

    def __init__(self, size: int, read: Callable[[Tile], bytes]) -> None:
        self._size = size
        self._read = read
        self._tiles: dict[Tile, list[bytes]] = {}

    def __call__(self, height: int, index: int) -> bytes:
        """The hash of a complete subtree. Raises MalformedProof when a tile has not its length."""
        tile, start, end = tile_with(height, index, self._size)
        hashes = self._tiles.get(tile)
        if hashes is None:
            hashes = self._tiles[tile] = hashes_of(self._read(tile), tile.width)
        return subtree_root(hashes[start:end])


def _complete_subtrees(hashes: Sequence[bytes]) -> Iterator[bytes]:
    """The roots of the complete subtrees over the hashes, the largest first: their sizes are the digits of the number."""
    start = 0
    for height in reversed(range(LEVEL_BITS)):
        if len(hashes) >> height & 1:
            yield subtree_root(hashes[start : start + (1 << height)])
            start += 1 << height
