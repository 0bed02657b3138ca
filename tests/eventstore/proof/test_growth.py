"""A tree that grows in batches and is taken up again is the tree that was never interrupted."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventstore.proof.errors import MalformedProof
from eventstore.proof.growth import FullTile, GrowingTree, TiledNodes
from eventstore.proof.merkle import leaf_hash
from eventstore.proof.merkle_paths import MemoryTree, consistency_proof, inclusion_proof, root_of
from eventstore.proof.tiles import Tile, subtree_root, tiles_of

LARGEST = 66_400
"""Above 256 × 256 leaves, so that there is a full tile of the second level."""


@cache
def tree() -> MemoryTree:
    """The tree with all hashes in memory."""
    return MemoryTree(leaf_hash(number.to_bytes(4, "big")) for number in range(LARGEST))


@cache
def tiles() -> dict[Tile, FullTile]:
    """All its full tiles, as they were made when it grew at once."""
    return {full.tile: full for full in GrowingTree().extend(leaves(0, LARGEST))}


def leaves(start: int, end: int) -> list[bytes]:
    """Leaf hashes."""
    return [tree().node(0, index) for index in range(start, end)]


def roots(level: int, first: int, count: int) -> Sequence[bytes]:
    """The stored roots of full tiles."""
    return [tiles()[Tile(level, index)].root for index in range(first, first + count)]


def read(tile: Tile) -> bytes:
    """A full tile as stored, a partial one as a server makes it."""
    if tile.full:
        return tiles()[tile].hashes
    assert tile.level is not None
    first = tile.index * 256
    below = leaves(first, first + tile.width) if tile.level == 0 else roots(tile.level - 1, first, tile.width)
    return b"".join(below)


EDGES = st.sampled_from([0, 1, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537, 65_792, LARGEST])
SIZES = EDGES | st.integers(0, LARGEST)


def test_each_full_tile_is_made_once_and_right() -> None:
    """Hashes and root of every tile are those of the whole tree, in the order in which they became full."""
    made = GrowingTree().extend(leaves(0, LARGEST))
    assert [full.tile for full in made if full.tile.level == 0] == [Tile(0, index) for index in range(LARGEST // 256)]
    assert sorted(full.tile.path for full in made) == sorted(tile.path for tile in tiles_of(LARGEST) if tile.full)
    for full in made:
        level, first = 8 * (full.tile.level or 0), full.tile.index * 256
        assert full.hashes == b"".join(tree().node(level, index) for index in range(first, first + 256))
        assert full.root == tree().node(level + 8, full.tile.index)
        assert full.root == subtree_root([full.hashes[place : place + 32] for place in range(0, 8192, 32)])


@settings(max_examples=40, deadline=None)
@given(SIZES, st.lists(st.integers(0, 300) | st.sampled_from([1, 255, 256, 257]), max_size=3))
def test_a_tree_taken_up_again_goes_on_as_if_nothing_had_been(size: int, batches: list[int]) -> None:
    """Before each batch the tree is made anew from what is stored; roots and tiles are those of one that never stopped."""
    start = size
    made: list[FullTile] = []
    for batch in [0, *batches]:
        grown = GrowingTree.resume(size, leaves(size - size % 256, size), roots)
        more = leaves(size, min(size + batch, LARGEST))
        made += grown.extend(more)
        size += len(more)
        assert (grown.size, grown.root) == (size, tree().root(size))
        for tile in tiles_of(size):
            if not tile.full:
                assert grown.partial(tile.level or 0) == read(tile)
    new = [tile for tile in tiles_of(size) if tile.full and not tile.within(start)]
    assert {full.tile: full for full in made} == {tile: tiles()[tile] for tile in new}


@settings(max_examples=30, deadline=None)
@given(SIZES.filter(bool), st.data())
def test_proofs_made_from_tiles_are_those_of_the_whole_tree(size: int, data: st.DataObject) -> None:
    """Only tiles that a tree of this size has are read, and the proofs are the same."""
    asked: list[Tile] = []

    def reading(tile: Tile) -> bytes:
        asked.append(tile)
        return read(tile)

    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    nodes, whole = TiledNodes(size, reading), tree()
    assert root_of(size, nodes) == whole.root(size)
    assert inclusion_proof(index, size, nodes) == inclusion_proof(index, size, whole.node)
    assert consistency_proof(old, size, nodes) == consistency_proof(old, size, whole.node)
    assert len(asked) == len(set(asked))
    assert set(asked) <= set(tiles_of(size))


def test_a_tree_is_not_taken_up_from_too_little() -> None:
    """A missing leaf, a missing tile or a hash of another length is told at once."""
    size = 65_536 + 300
    for last in (leaves(0, 43), leaves(0, 45), [b"", *leaves(0, 43)]):
        with pytest.raises(MalformedProof, match="level 0 of a tree of 65836 leaves ends in 44 hashes"):
            GrowingTree.resume(size, last, roots)
    with pytest.raises(MalformedProof, match="level 1 of a tree of 65836 leaves ends in 1 hashes"):
        GrowingTree.resume(size, leaves(0, 44), lambda level, _first, count: [] if level == 0 else [b""] * count)


def test_a_tile_of_another_length_is_not_read() -> None:
    """A tile that was cut is told when a proof needs it."""
    nodes = TiledNodes(300, lambda tile: read(tile)[:-1])
    with pytest.raises(MalformedProof, match="a tile of 44 hashes has 1407 bytes"):
        inclusion_proof(3, 300, nodes)
