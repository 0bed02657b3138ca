"""Ranges put together: the roots that checkpoints name, from the roots over the ranges."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import NamedTuple

from eventstore.proof.growth import GrowingTree
from eventstore.proof.merkle import node_hash
from eventstore.verifying import findings
from eventstore.verifying.ranges import LEAVES, Ranged, Unlike
from eventstore.verifying.signed import Ending
from eventstore.verifying.verdicts import Finding

Level = tuple[int, int]
"""A tile's level and index."""


class Marked(NamedTuple):
    """The root of the rows at a size."""

    size: int
    root: bytes


class Joining:
    """Takes the ranges in their order, from the first or from where an earlier verification had got to."""

    def __init__(self, roots: Iterable[bytes] = ()) -> None:
        """`roots` are those of the full ranges before."""
        self.roots: list[bytes] = []
        """Of all full ranges."""
        self.good: Ending | None = None
        """The largest checkpoint that the rows lead to: it proves all rows up to its size."""
        self.bad: Ending | None = None
        """The smallest one above it that they do not lead to."""
        self.findings: list[Finding] = []
        self.unlike: list[Unlike] = []
        self.marked: list[Marked] = []
        self.tiles: dict[Level, bytes] = {}
        """The full tiles of level 2 and above, as the rows make them."""
        self.events = 0
        self._last_at = ""
        self._upper = GrowingTree()
        self._left: list[tuple[int, bytes]] = []
        self._keys: dict[str, int] = {}
        for root in roots:
            self._full(root)
        self.before = len(self.roots) * LEAVES
        """Events of an earlier verification, which is believed or there would be no roots."""

    def add(self, ranged: Ranged) -> None:
        """The next range."""
        part = ranged.range
        self.events += part.last - part.after
        if ranged.first_at and ranged.first_at < self._last_at:
            self.findings.append(findings.time_back(part.after + 1))
        self._last_at = ranged.last_at or self._last_at
        self.findings.extend(ranged.findings)
        self.unlike.extend(ranged.unlike)
        self.marked.extend(Marked(size, self._root(right)) for size, right in ranged.marked.items())
        for ending in ranged.endings:
            self._end(ending)
        if part.last - part.after == LEAVES:
            self._full(ranged.root)

    def _end(self, ending: Ending) -> None:
        """A checkpoint, in order of size: is its root that of the rows, and its key not an older one's than before?"""
        newest = self._keys.get(ending.origin, 0)
        if ending.key < newest:
            why = "is signed by a key that was retired before: the log's newer key had signed already"
            self.findings.append(findings.bad_checkpoint(ending.size, why))
        self._keys[ending.origin] = max(newest, ending.key)
        if self._root(ending.right) != ending.root:
            self.bad = self.bad or ending
            return
        if self.bad is not None:  # the rows are those that this one proves, so the one before is of another history
            self.findings.append(findings.other_history(self.bad.size))
        self.good, self.bad = ending, None

    def _root(self, right: bytes) -> bytes:
        """The root over all full ranges so far and what is right of them."""
        return reduce(lambda below, left: node_hash(left[1], below), reversed(self._left), right)

    def _full(self, root: bytes) -> None:
        self.roots.append(root)
        for full in self._upper.extend([root]):
            self.tiles[(full.tile.level or 0) + 2, full.tile.index] = full.hashes
        height = 0
        while self._left and self._left[-1][0] == height:
            root = node_hash(self._left.pop()[1], root)
            height += 1
        self._left.append((height, root))
