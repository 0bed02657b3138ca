"""A tree that grows: what the sealer holds in memory, a few kilobytes at any size of the log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from eventstore.proof.errors import MalformedProof
from eventstore.proof.merkle import EMPTY_ROOT, node_hash
from eventstore.proof.strict import HASH_BYTES
from eventstore.proof.tiles import LEVEL_BITS, WIDTH, Tile, hashes_of, partial_width, tile_with

TileRoots = Callable[[int, int, int], Sequence[bytes]]
"""`roots(level, first, count)`: the roots of that many full tiles of a level, from the tile `first` on."""


class FullTile(NamedTuple):
    """A tile that became full: it never changes again. `root` is the one hash that stands for it a level above."""

    tile: Tile
    hashes: bytes
    root: bytes


class GrowingTree:
    """Leaves are only added. It holds the roots of the complete subtrees (their binary digits are the size's) and,
    for each level of tiles, the hashes of the tile that is not full yet."""

    def __init__(self) -> None:
        self.size = 0
        self._subtrees: list[bytes] = []
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
        for hashes in reversed(tree._open):
            tree._subtrees += _complete_subtrees(hashes)
        return tree

    def extend(self, leaves: Iterable[bytes]) -> list[FullTile]:
        """Add leaves' hashes; gives the tiles that became full, in the order in which they did."""
        filled: list[FullTile] = []
        subtrees, lowest, size = self._subtrees, self._open[0], self.size
        for leaf in leaves:
            found, rest = leaf, size
            lowest.append(leaf)
            height = 0
            while rest & 1:
                found = node_hash(subtrees.pop(), found)
                rest >>= 1
                height += 1
                if height % LEVEL_BITS == 0:
                    filled.append(self._fill(height // LEVEL_BITS, (size + 1 >> height) - 1, found))
            subtrees.append(found)
            size += 1
        self.size = size
        return filled

    def _fill(self, level: int, index: int, root: bytes) -> FullTile:
        """The tile `index` below `level` is full, and its root is the next hash of `level`."""
        hashes = b"".join(self._open[level - 1])
        self._open[level - 1].clear()
        if level == len(self._open):
            self._open.append([])
        self._open[level].append(root)
        return FullTile(Tile(level - 1, index), hashes, root)

    @property
    def root(self) -> bytes:
        """The root of all leaves."""
        if not self._subtrees:
            return EMPTY_ROOT
        *rest, found = self._subtrees
        for left in reversed(rest):
            found = node_hash(left, found)
        return found

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
        return _complete_subtrees(hashes[start:end])[0]


def _complete_subtrees(hashes: Iterable[bytes]) -> list[bytes]:
    """The roots of the complete subtrees over the hashes, the largest first."""
    found: list[bytes] = []
    for count, hash_ in enumerate(hashes):
        root = hash_
        while count & 1:
            root = node_hash(found.pop(), root)
            count >>= 1  # noqa: PLW2901 - the digits of the count are used up
        found.append(root)
    return found
