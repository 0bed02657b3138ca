"""One proof for many leaves: it makes the root, and nothing else does."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventstore.proof.errors import MalformedProof
from eventstore.proof.merkle import leaf_hash
from eventstore.proof.merkle_paths import MemoryTree, span_hash
from eventstore.proof.multiproof import gaps, root_over

LARGEST = 300
SOME = st.integers(1, LARGEST).flatmap(lambda size: st.tuples(st.just(size), st.sets(st.integers(0, size - 1))))


@cache
def tree() -> MemoryTree:
    """A tree of numbers."""
    return MemoryTree(leaf_hash(number.to_bytes(2, "big")) for number in range(LARGEST))


@settings(deadline=None)
@given(SOME, st.data())
def test_leaves_and_what_lies_between_them_make_the_root(some: tuple[int, set[int]], data: st.DataObject) -> None:
    """Of any leaves of a tree of any size; with one bit, hash or index changed it is another root or none."""
    size, indices = some[0], sorted(some[1])
    leaves = [(index, tree().node(0, index)) for index in indices]
    nodes = [span_hash(start, end, tree().node) for start, end in gaps(indices, size)]
    root = tree().root(size)
    assert root_over(size, leaves, nodes) == root
    assert len(nodes) <= max(1, len(leaves)) * size.bit_length()
    if nodes:
        place = data.draw(st.integers(0, len(nodes) - 1))
        flipped = bytes([nodes[place][0] ^ 1]) + nodes[place][1:]
        assert root_over(size, leaves, [*nodes[:place], flipped, *nodes[place + 1 :]]) != root
        with pytest.raises(MalformedProof):
            root_over(size, leaves, nodes[:-1])
    with pytest.raises(MalformedProof):
        root_over(size, leaves, [*nodes, root])
    if leaves:
        place = data.draw(st.integers(0, len(leaves) - 1))
        other = (leaves[place][0], bytes(32))
        assert root_over(size, [*leaves[:place], other, *leaves[place + 1 :]], nodes) != root


@pytest.mark.parametrize("indices", [[1, 1], [2, 1], [-1], [5]])
def test_rows_ascend_within_the_tree(indices: list[int]) -> None:
    """Twice the same, backwards, outside: refused, whoever asks."""
    with pytest.raises(MalformedProof):
        list(gaps(indices, 5))
    with pytest.raises(MalformedProof):
        root_over(5, ((index, bytes(32)) for index in indices), iter(lambda: bytes(32), None))
