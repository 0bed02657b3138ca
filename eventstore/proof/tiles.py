"""Tiles and entry bundles of a tiled log (c2sp.org/tlog-tiles): their paths, widths and bytes."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from eventstore.proof.errors import MalformedProof
from eventstore.proof.merkle import node_hash
from eventstore.proof.strict import HASH_BYTES, LARGEST

WIDTH = 256
"""Hashes of a full tile, entries of a full bundle."""
LEVEL_BITS = 8
LARGEST_ENTRY = 65_535

_PATH = re.compile(
    r"tile/(?P<level>entries|0|[1-9]|[1-5][0-9]|6[0-3])/(?P<index>(?:x[0-9]{3}/){0,6}[0-9]{3})"
    r"(?:\.p/(?P<width>[1-9][0-9]{0,2}))?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Tile:
    """Where a tile or bundle of entries lies, and how many hashes or entries it has: 256, or fewer at the edge."""

    level: int | None
    """0 has the leaves' hashes, each further level the roots of full tiles below; None is a bundle of entries."""
    index: int
    width: int = WIDTH

    @classmethod
    def parse(cls, path: str) -> Tile:
        """The tile of a path such as `tile/0/x001/234.p/5`. Raises MalformedProof."""
        found = _PATH.fullmatch(path)
        if found is None:
            raise MalformedProof("not the path of a tile")
        level = None if found["level"] == "entries" else int(found["level"])
        tile = cls(level, int(re.sub(r"[x/]", "", found["index"])), int(found["width"] or WIDTH))
        if tile.index > LARGEST or tile.path != path:  # x000 in front, a width of 256 or more
            raise MalformedProof("not the path of a tile")
        return tile

    @property
    def path(self) -> str:
        """The path below the log's prefix."""
        digits = f"{self.index:03}"
        digits = digits.zfill(-(-len(digits) // 3) * 3)
        groups = [digits[start : start + 3] for start in range(0, len(digits), 3)]
        name = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
        partial = "" if self.width >= WIDTH else f".p/{self.width}"
        return f"tile/{'entries' if self.level is None else self.level}/{name}{partial}"

    @property
    def full(self) -> bool:
        """Whether nothing can be added to it any more."""
        return self.width == WIDTH

    def within(self, size: int) -> bool:
        """Whether a tree of `size` leaves has all of it."""
        return self.index * WIDTH + self.width <= size >> (LEVEL_BITS * (self.level or 0))


def partial_width(level: int, size: int) -> int:
    """How many hashes the last tile of a level has that is not full; 0 when there is none."""
    return (size >> (LEVEL_BITS * level)) % WIDTH


def tiles_of(size: int) -> Iterator[Tile]:
    """All tiles of hashes that a tree of `size` leaves consists of, from the lowest level up."""
    level = 0
    while size >> (LEVEL_BITS * level):
        for index in range((size >> (LEVEL_BITS * level)) // WIDTH):
            yield Tile(level, index)
        if width := partial_width(level, size):
            yield Tile(level, (size >> (LEVEL_BITS * level)) // WIDTH, width)
        level += 1


def tile_with(height: int, index: int, size: int) -> tuple[Tile, int, int]:
    """Where a tree of `size` leaves has the subtree `node(height, index)`: its tile, as wide as it is at that size,
    and from which hash to before which one the subtree goes."""
    level, within = divmod(height, LEVEL_BITS)
    first = index << within
    tile = first // WIDTH
    width = min(WIDTH, (size >> (LEVEL_BITS * level)) - tile * WIDTH)
    return Tile(level, tile, width), first % WIDTH, first % WIDTH + (1 << within)


def hashes_of(data: bytes, width: int) -> list[bytes]:
    """The hashes of a tile. Raises MalformedProof unless there are `width`."""
    if len(data) != width * HASH_BYTES:
        raise MalformedProof(f"a tile of {width} hashes has {len(data)} bytes")
    return [data[start : start + HASH_BYTES] for start in range(0, len(data), HASH_BYTES)]


def subtree_root(hashes: Sequence[bytes]) -> bytes:
    """The root over hashes whose number is a power of two, such as a full tile's."""
    if not hashes or len(hashes) & (len(hashes) - 1):
        raise ValueError(f"{len(hashes)} hashes are not a complete subtree")
    level = list(hashes)
    while len(level) > 1:
        pairs = iter(level)
        level = [node_hash(left, right) for left, right in zip(pairs, pairs, strict=True)]
    return level[0]


def bundle(entries: Sequence[bytes]) -> bytes:
    """Entries as a bundle: each after its length in two bytes, big-endian. ValueError above 65,535 bytes."""
    if any(len(entry) > LARGEST_ENTRY for entry in entries):
        raise ValueError(f"an entry has more than {LARGEST_ENTRY} bytes")
    return b"".join(part for entry in entries for part in (struct.pack(">H", len(entry)), entry))


def entries_of(data: bytes, width: int) -> list[bytes]:
    """The entries of a bundle. Raises MalformedProof unless there are `width` and nothing after them."""
    entries: list[bytes] = []
    place = 0
    while place < len(data):
        end = place + 2 + int.from_bytes(data[place : place + 2], "big")
        if place + 2 > len(data) or end > len(data):
            raise MalformedProof("a bundle ends within an entry")
        entries.append(data[place + 2 : end])
        place = end
    if len(entries) != width:
        raise MalformedProof(f"a bundle of {width} entries has {len(entries)}")
    return entries
