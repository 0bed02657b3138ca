"""Leaves that the database derives, believed only as far as a tile of it says the same.

`leaf_of` is the one rule (docs/spec/leaf.md). The database derives the same bytes in half the time, where it can: where no
text has anything to escape. A tile of leaves so derived is taken when its hashes, computed here, are those of the stored tile.
Everything else is read row by row and derived by `leaf_of`, and only from that is anything ever found to be wrong.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from eventstore.proof.leaf import LARGEST_LEAF
from eventstore.proof.merkle import leaf_hash
from eventstore.proof.tiles import WIDTH, subtree_root
from eventstore.statements import statement
from eventstore.times import timestamp
from eventstore.verifying.rows import Session

LEAVES = statement("eventstore", "verify_leaves")

_LONGS = struct.Struct(f">{WIDTH}q")
_BETWEEN = b"\x01"
"""No value that the writer wrote has it. One that has makes its tile's leaves too many."""
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
"""PostgreSQL counts microseconds from here."""


@dataclass(frozen=True, slots=True)
class Agreed:
    """A full tile whose rows are there, in order, and lead to the hashes that it has."""

    hashes: list[bytes]
    root: bytes
    first_at: str
    last_at: str
    """When its first and last event say they were recorded."""


class Derived(NamedTuple):
    """A tile of rows as verify_leaves gives it; None where there are no rows."""

    before: int
    leaves: bytes | None
    positions: bytes | None
    times: bytes | None
    texts: bytes | None


def agreed(session: Session, tenant_id: str, stored: Mapping[int, bytes]) -> Iterator[tuple[int, Agreed]]:
    """Those of the stored tiles of level 0, by index, that agree with what the database derives, in order.

    One tile's leaves are held at a time. Raises psycopg.Error.
    """
    befores = [index * WIDTH for index in sorted(stored)]
    values = {"tenant": tenant_id, "befores": befores}
    with session.cursor(binary=True) as cursor:
        for row in cursor.stream(LEAVES.sql.encode(), values, binary=True):
            derived = Derived(*row)
            index = derived.before // WIDTH
            hashes = [leaf_hash(leaf) for leaf in certain_leaves(derived)]
            if hashes and b"".join(hashes) == stored[index]:
                instants = _LONGS.unpack(derived.times or b"")
                yield index, Agreed(hashes, subtree_root(hashes), _time(instants[0]), _time(instants[-1]))


def certain_leaves(derived: Derived) -> list[bytes]:
    """The leaves of a full tile, each what `leaf_of` would give; none where that is not certain."""
    before, joined, positions, times, texts = derived
    if joined is None or texts is None or positions != _LONGS.pack(*range(before + 1, before + 1 + WIDTH)):
        return []
    if times is None or len(times) != _LONGS.size or (instants := _LONGS.unpack(times)) != tuple(sorted(instants)):
        return []
    if b'"' in texts or b"\\" in texts:
        return []
    leaves = joined.split(_BETWEEN)
    return leaves if len(leaves) == WIDTH and max(map(len, leaves)) <= LARGEST_LEAF else []


def _time(microseconds: int) -> str:
    """As the leaf has it."""
    return timestamp(_EPOCH + timedelta(microseconds=microseconds))
