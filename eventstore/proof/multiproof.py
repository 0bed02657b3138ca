"""One proof for many leaves of a tree: the hashes of all that lies between them, each once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from eventstore.proof.errors import MalformedProof
from eventstore.proof.merkle import node_hash
from eventstore.proof.merkle_paths import split
from eventstore.proof.strict import HASH_BYTES

Span = tuple[int, int]
"""The leaves from the first number to before the second."""


def gaps(indices: Iterable[int], size: int) -> Iterator[Span]:
    """The largest subtrees of a tree of `size` leaves without any of the leaves at `indices`, from left to right.

    Their hashes and those leaves' make the root. `indices` ascend; what is held does not grow with their number.
    Raises MalformedProof when they do not ascend or lie outside.
    """
    ascending = _ascending(((index, b"") for index in indices), size)
    following = next(ascending, None)
    spans = [(0, size)] if size else []
    while spans:
        start, end = spans.pop()
        if following is None or following[0] >= end:
            yield start, end
        elif end - start == 1:
            following = next(ascending, None)
        else:
            middle = start + split(end - start)
            spans += [(middle, end), (start, middle)]


def root_over(size: int, leaves: Iterable[tuple[int, bytes]], nodes: Iterable[bytes]) -> bytes:
    """The root of a tree of `size` > 0 leaves from some of them, (index, hash) ascending, and the hashes of its `gaps`.

    What is held does not grow with their number. Raises MalformedProof when a hash is missing or left over.
    """
    fold = _Fold(_ascending(leaves, size), iter(nodes))
    root = fold.span(0, size)
    fold.end()
    return root


class _Fold:
    """Both iterators, taken from as the tree is walked from left to right."""

    def __init__(self, leaves: Iterator[tuple[int, bytes]], nodes: Iterator[bytes]) -> None:
        self._leaves = leaves
        self._nodes = nodes
        self._following = next(leaves, None)

    def span(self, start: int, end: int) -> bytes:
        """The hash of the leaves from `start` to before `end`; as deep as the tree is high, 63 levels at most."""
        if self._following is None or self._following[0] >= end:
            node = next(self._nodes, None)
            if node is None or len(node) != HASH_BYTES:
                raise MalformedProof("the proof has too few hashes")
            return node
        if end - start == 1:
            found = self._following[1]
            self._following = next(self._leaves, None)
            return found
        middle = start + split(end - start)
        left = self.span(start, middle)
        return node_hash(left, self.span(middle, end))

    def end(self) -> None:
        """Nothing is left over."""
        if next(self._nodes, None) is not None:
            raise MalformedProof("the proof has too many hashes")


def _ascending(leaves: Iterable[tuple[int, bytes]], size: int) -> Iterator[tuple[int, bytes]]:
    before = -1
    for index, hash_ in leaves:
        if not before < index < size:
            raise MalformedProof(f"the rows do not ascend within a tree of {size} leaves")
        before = index
        yield index, hash_
