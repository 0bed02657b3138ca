"""What a log shows of itself: checkpoint, tiles and entries, in the bytes of c2sp.org/tlog-tiles."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from typing import NamedTuple

from eventstore.proof.leaf import MEMBERS, leaf_of
from eventstore.proof.merkle import leaf_hash
from eventstore.proof.strict import HASH_BYTES, LARGEST
from eventstore.proof.tiles import LEVEL_BITS, WIDTH, Tile, bundle, hashes_of, subtree_root
from eventstore.reading import Reader
from eventstore.sealing.store import FULL_TILES, LEAF_ROWS, NEWEST
from eventstore.session import Rows
from eventstore.statements import statement

PUBLISHED_BETWEEN = statement("eventstore", "published_between")
COSIGNATURE_LINES = statement("eventstore", "cosignature_lines")

SUBJECTS, TYPE = MEMBERS.index("subjects"), MEMBERS.index("type")
TILES_AT_ONCE = 16
KEPT = 256
"""Partial tiles kept in memory, 8 KiB each at most: anybody may ask for them, and they are made anew from rows or from
the tiles below."""


class Bundle(NamedTuple):
    """A bundle of entries, and whose data stands in them."""

    data: bytes
    subjects: list[str]


class TiledLog:
    """The logs of all tenants, read for whoever asks. What no published checkpoint implies is not there: None.

    `naming`: types of events in which no data of their subjects stands.
    """

    def __init__(self, reader: Reader, naming: Collection[str] = ()) -> None:
        self._reader = reader
        self._naming = naming
        self._partial: OrderedDict[tuple[str, str, Tile], bytes] = OrderedDict()

    async def checkpoint(self, tenant_id: str, origin: str) -> bytes | None:
        """The newest checkpoint, signed by the log, with the witnesses' lines that came in. Raises DatabaseUnavailable."""
        rows = await self._reader.rows(tenant_id, NEWEST, (tenant_id, origin))
        if not rows:
            return None
        _, size, _, note = rows[0]
        lines = await self._reader.rows(tenant_id, COSIGNATURE_LINES, (tenant_id, origin, size))
        return (str(note) + "".join(line if line.endswith("\n") else f"{line}\n" for (line,) in lines)).encode()

    async def tile(self, tenant_id: str, origin: str, tile: Tile) -> bytes | None:
        """The hashes of a tile. Raises DatabaseUnavailable."""
        level = tile.level or 0
        if tile.full:
            return await self._full(tenant_id, level, tile.index)
        key = (tenant_id, origin, tile)
        if (kept := self._partial.get(key)) is not None:
            return kept
        if not await self._implied(tenant_id, origin, tile):
            return None
        full = await self._full(tenant_id, level, tile.index)
        hashes = full[: tile.width * HASH_BYTES] if full is not None else await self._made(tenant_id, level, tile)
        if hashes is not None:
            self._partial[key] = hashes
            if len(self._partial) > KEPT:
                self._partial.popitem(last=False)
        return hashes

    async def bundle(self, tenant_id: str, origin: str, tile: Tile) -> Bundle | None:
        """The entries of a bundle. Raises DatabaseUnavailable, NoLeaf."""
        if tile.full:
            if await self._full(tenant_id, 0, tile.index) is None:
                return None
        elif not await self._implied(tenant_id, origin, tile):
            return None
        rows = await self._rows_of(tenant_id, tile)
        if len(rows) != tile.width:
            return None
        subjects = dict.fromkeys(each for row in rows if row[TYPE] not in self._naming for each in row[SUBJECTS])
        return Bundle(bundle([leaf_of(*row) for row in rows]), list(subjects))

    async def _full(self, tenant_id: str, level: int, index: int) -> bytes | None:
        rows = await self._reader.rows(tenant_id, FULL_TILES, (tenant_id, level, index, 1))
        return bytes(rows[0][1]) if rows else None

    async def _implied(self, tenant_id: str, origin: str, tile: Tile) -> bool:
        """Whether a checkpoint was published of a tree that ends in this partial tile."""
        bits = LEVEL_BITS * (tile.level or 0)
        first = (tile.index * WIDTH + tile.width) << bits
        if first > LARGEST:
            return False
        last = min(first + (1 << bits), LARGEST)
        ((found,),) = await self._reader.rows(tenant_id, PUBLISHED_BETWEEN, (tenant_id, origin, first, last))
        return bool(found)

    async def _made(self, tenant_id: str, level: int, tile: Tile) -> bytes | None:
        """A partial tile from what lies below it; None when that is not all there."""
        if level == 0:
            found = [leaf_hash(leaf_of(*row)) for row in await self._rows_of(tenant_id, tile)]
        else:
            found = await self._roots(tenant_id, level - 1, tile.index * WIDTH, tile.width)
        return b"".join(found) if len(found) == tile.width else None

    async def _roots(self, tenant_id: str, level: int, first: int, count: int) -> list[bytes]:
        """Some at a time: others are answered in between."""
        roots: list[bytes] = []
        for start in range(first, first + count, TILES_AT_ONCE):
            most = min(TILES_AT_ONCE, first + count - start)
            rows = await self._reader.rows(tenant_id, FULL_TILES, (tenant_id, level, start, most))
            roots += [subtree_root(hashes_of(bytes(hashes), WIDTH)) for _, hashes in rows]
        return roots

    async def _rows_of(self, tenant_id: str, tile: Tile) -> Rows:
        return await self._reader.rows(tenant_id, LEAF_ROWS, (tenant_id, tile.index * WIDTH, tile.width))
