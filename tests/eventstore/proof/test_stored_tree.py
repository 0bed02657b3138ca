"""Proofs from stored tiles are those of the whole tree, and reading for them is bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventstore.proof.merkle_paths import consistency_proof, inclusion_proof
from eventstore.proof.stored_tree import TILES_AT_ONCE, RememberedRoots, StoredTree
from eventstore.proof.tiles import Tile
from tests.eventstore.proof.test_growth import LARGEST, SIZES, leaves, tiles, tree


class Stored:
    """A log's tiles and leaves, and which were read."""

    def __init__(self, tenant_id: str = "default") -> None:
        self.tenant_id = tenant_id
        self.read: list[list[Tile]] = []

    async def tiles(self, wanted: Sequence[Tile]) -> dict[Tile, bytes]:
        """Reading takes a turn of the loop, as a database's does."""
        self.read.append(list(wanted))
        await asyncio.sleep(0)
        return {tile: tiles()[tile].hashes for tile in wanted}

    async def leaf_hashes(self, after: int, count: int) -> list[bytes]:
        """Those of the tree."""
        return leaves(after, after + count)


@settings(max_examples=30, deadline=None)
@given(SIZES.filter(bool), st.data())
def test_proofs_are_those_of_the_whole_tree(size: int, data: st.DataObject) -> None:
    """Of any size and place, with nothing, little or everything remembered of what was proven before."""
    index, old, most = (data.draw(st.integers(low, high)) for low, high in ((0, size - 1), (1, size), (0, 300)))
    stored, roots = Stored(), RememberedRoots(most)

    async def main() -> None:
        for _ in range(2):
            proven = StoredTree(stored, size, roots)
            assert await proven.inclusion(index) == inclusion_proof(index, size, tree().node)
            assert await proven.consistency(old) == consistency_proof(old, size, tree().node)

    asyncio.run(main())


@pytest.mark.parametrize("most", [0, 5, 300])
def test_proofs_that_are_made_at_once_do_not_disturb_each_other(most: int) -> None:
    """While one waits for its tiles, others, also of another tenant, take what it remembered out of the memory."""
    roots = RememberedRoots(most)

    async def main() -> None:
        trees = [StoredTree(Stored(f"t{size % 2}"), size, roots) for size in (300, 65_535, 65_534, 40_000, LARGEST)]
        made = await asyncio.gather(*(one.consistency(256) for one in trees), *(one.inclusion(255) for one in trees))
        wanted = [consistency_proof(256, one.size, tree().node) for one in trees]
        assert made == [*wanted, *(inclusion_proof(255, one.size, tree().node) for one in trees)]

    asyncio.run(main())


def test_roots_are_read_a_few_at_a_time_and_once() -> None:
    """A tree with 255 full tiles at its edge reads 16 of them at a time and lets others go on in between; the next proof reads
    none of them again."""
    stored, roots, turns = Stored(), RememberedRoots(300), 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async def main() -> None:
        going = asyncio.create_task(others())
        await StoredTree(stored, 65_535, roots).consistency(65_534)
        assert turns >= 2 * len(stored.read) - 2
        going.cancel()
        seen = len(stored.read)
        assert seen == 1 + -(-255 // TILES_AT_ONCE)
        assert max(map(len, stored.read)) == TILES_AT_ONCE
        await StoredTree(stored, 65_535, roots).consistency(65_534)
        assert [one for one in stored.read[seen:] if one] == [one for one in stored.read[:1] if one]

    asyncio.run(main())
