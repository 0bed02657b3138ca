"""Proofs made: which hashes of a tree prove an inclusion or a consistency (RFC 9162, sections 2.1.3.1 and 2.1.4.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from eventstore.proof.merkle import EMPTY_ROOT, node_hash

Node = Callable[[int, int], bytes]
"""The hash of a complete subtree: `node(height, index)` spans the 2^height leaves from index × 2^height on."""


def root_of(size: int, node: Node) -> bytes:
    """The root of the first `size` leaves."""
    return span_hash(0, size, node) if size else EMPTY_ROOT


def inclusion_proof(index: int, size: int, node: Node) -> list[bytes]:
    """The siblings of the leaf at `index`, from the leaf up. 0 <= index < size, else ValueError."""
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has no leaf at index {index}")
    proof: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + split(end - start)
        if index < middle:
            proof.append(span_hash(middle, end, node))
            end = middle
        else:
            proof.append(span_hash(start, middle, node))
            start = middle
    return proof[::-1]


def consistency_proof(old_size: int, new_size: int, node: Node) -> list[bytes]:
    """What shows that the first `old_size` leaves are the beginning of `new_size`. 0 < old <= new, else ValueError."""
    if not 0 < old_size <= new_size:
        raise ValueError(f"there is no consistency proof from size {old_size} to size {new_size}")
    proof: list[bytes] = []
    start, end, known = 0, new_size, True
    while old_size != end:
        middle = start + split(end - start)
        if old_size <= middle:
            proof.append(span_hash(middle, end, node))
            end = middle
        else:
            proof.append(span_hash(start, middle, node))
            start, known = middle, False
    if not known:  # the old tree ends inside: its last complete part is not its root, so it must be told
        proof.append(span_hash(start, end, node))
    return proof[::-1]


class MemoryTree:
    """A tree with all its hashes in memory: for tests, exports and what is small."""

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self._levels: list[list[bytes]] = [[]]
        for hash_ in leaves:
            self.append(hash_)

    @property
    def size(self) -> int:
        """How many leaves there are."""
        return len(self._levels[0])

    def append(self, hash_: bytes) -> None:
        """Add a leaf's hash."""
        self._levels[0].append(hash_)
        height, count = 0, self.size
        while count % 2 == 0:
            if height + 1 == len(self._levels):
                self._levels.append([])
            left, right = self._levels[height][-2:]
            self._levels[height + 1].append(node_hash(left, right))
            height, count = height + 1, count // 2

    def node(self, height: int, index: int) -> bytes:
        """The hash of a complete subtree. Raises IndexError where there is none yet."""
        return self._levels[height][index]

    def root(self, size: int | None = None) -> bytes:
        """The root now, or as it was with `size` leaves."""
        return root_of(self.size if size is None else size, self.node)


def span_hash(start: int, end: int, node: Node) -> bytes:
    """The Merkle tree hash of the leaves from `start` to before `end`; `start` is a multiple of the largest power of
    two in the length, as all spans of a tree are."""
    length = end - start
    if length & (length - 1) == 0:
        height = length.bit_length() - 1
        return node(height, start >> height)
    middle = start + split(length)
    return node_hash(span_hash(start, middle, node), span_hash(middle, end, node))


def split(length: int) -> int:
    """The largest power of two below `length` (which is at least 2)."""
    return 1 << (length - 1).bit_length() - 1
