"""Tiles and bundles: paths in one spelling, widths, and two public logs rebuilt from theirs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventstore.proof.checkpoint import Checkpoint, signed_checkpoint
from eventstore.proof.errors import MalformedProof
from eventstore.proof.growth import GrowingTree, TiledNodes
from eventstore.proof.keys import VerifierKey
from eventstore.proof.merkle import leaf_hash, verify_consistency, verify_inclusion
from eventstore.proof.merkle_paths import MemoryTree, consistency_proof, inclusion_proof
from eventstore.proof.note import Note
from eventstore.proof.strict import LARGEST
from eventstore.proof.tiles import Tile, bundle, entries_of, hashes_of, partial_width, subtree_root, tiles_of
from tests.eventstore.proof.vectors import shared, shared_json

TILES = st.builds(
    Tile, st.none() | st.integers(0, 63), st.integers(0, 10**6) | st.integers(0, LARGEST), st.integers(1, 256)
)


def test_the_paths_of_the_layout_vectors() -> None:
    """Good paths are written and read as stated, bad ones are refused."""
    vectors = shared_json("tessera-testlog/layout_paths.json")
    for case in vectors["tile_path"]:
        assert Tile(case["level"], case["index"], case["partial"] or 256).path == case["want"]
    for case in vectors["entries_path_for_log_index"]:
        index = case["seq"] // 256
        assert Tile(None, index, min(256, case["log_size"] - index * 256)).path == case["want"]
    for case in vectors["parse_tile_level_index_partial"]:
        path = f"tile/{case['level']}/{case['index']}"
        if case.get("want_error"):
            with pytest.raises(MalformedProof):
                Tile.parse(path)
        else:
            want = Tile(case["want_level"], case["want_index"], case["want_partial"] or 256)
            assert Tile.parse(path) == want
    example = vectors["spec_example"]
    assert Tile(0, example["index"]).path == f"tile/0/{example['n_path']}"


def test_the_sizes_of_the_specification_example() -> None:
    """70,000 leaves are the tiles that the specification lists, and 256 leaves are a full tile and one hash above."""
    case = shared_json("tessera-testlog/layout_paths.json")["partial_sizes_spec_example"]
    found = list(tiles_of(case["tree_size"]))
    assert sum(tile.level == 0 and tile.full for tile in found) == case["full_level0"]
    assert sum(tile.level == 1 and tile.full for tile in found) == case["full_level1"]
    assert [tile.width for tile in found if not tile.full] == [
        case["partial_level0_width"],
        case["partial_level1_width"],
        case["partial_level2_width"],
    ]
    assert list(tiles_of(256)) == [Tile(0, 0), Tile(1, 0, 1)]
    assert list(tiles_of(0)) == []


@settings(deadline=None)
@given(TILES)
def test_a_path_is_read_back(tile: Tile) -> None:
    """Every tile and bundle has one path."""
    assert Tile.parse(tile.path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "", "/tile/0/000", "tile/0/000/", "tile/0", "tile/00/000", "tile/+0/000", "tile/0/x000/001", "tile/0/000.p/0", "tile/0/000.p/256",
        "tile/0/000.p/01", "tile/0/000.p/999", "tile/0/00", "tile/0/0000", "tile/0/٠٠٠", "tile/0/000\n", "tile/Entries/000",
        "tile/entries/x000/000", "tile/0/x9/x99/999", "tile/0/x999/x999/x999/x999/x999/x999/999", "tile/1/000.p/1.p/1",
        "tile/-1/000", "tile/64/000", "tile/0/x010/x223/x372/x036/x854/x775/808",
    ],
)  # fmt: skip
def test_no_other_spelling_is_a_path(path: str) -> None:
    """A tile has no second name under which a cache could keep something else."""
    with pytest.raises(MalformedProof):
        Tile.parse(path)


@settings(deadline=None)
@given(st.integers(0, 10**5), st.integers(0, 3))
def test_a_partial_tile_ends_where_the_tree_ends(size: int, level: int) -> None:
    """What a tree has of a level is its full tiles and the partial one, and nothing beyond is within it."""
    found = [tile for tile in tiles_of(size) if tile.level == level]
    assert sum(tile.width for tile in found) == size >> 8 * level
    assert all(tile.within(size) for tile in found)
    assert [tile.width for tile in found if not tile.full] == [width for width in [partial_width(level, size)] if width]
    edge = Tile(level, (size >> 8 * level) // 256, partial_width(level, size) + 1)
    assert not edge.within(size)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=9) | st.just(bytes(300)), max_size=5))
def test_a_bundle_is_read_back(entries: list[bytes]) -> None:
    """Entries come out of a bundle as they went in; a byte more, a byte fewer, or another width is refused."""
    data = bundle(entries)
    assert entries_of(data, len(entries)) == entries
    for bad, width in [(data + b"\0", len(entries)), (data[:-1], len(entries)), (data, len(entries) + 1)]:
        if bad != data or width != len(entries):
            with pytest.raises(MalformedProof):
                entries_of(bad, width)


def test_an_entry_is_as_long_as_two_bytes_can_tell() -> None:
    """65,535 bytes go into a bundle, one more does not."""
    assert entries_of(bundle([b"x" * 65_535]), 1) == [b"x" * 65_535]
    with pytest.raises(ValueError, match="65535"):
        bundle([b"x" * 65_536])


def test_the_small_public_log_is_rebuilt_at_every_size() -> None:
    """Each of 16 checkpoints verifies, and its root follows from the bundles and from the tiles that were served."""
    folder = shared("tessera-testlog")
    meta = shared_json("tessera-testlog/meta.json")
    key = VerifierKey.parse(meta["vkey"])
    leaves = [text.encode() for text in meta["leaves_utf8"]]
    tree = GrowingTree()
    checkpoints: list[Checkpoint] = []
    for size in range(len(leaves) + 1):
        tree.extend(map(leaf_hash, leaves[tree.size : size]))
        note = Note.parse((folder / f"checkpoint.{size}").read_bytes())
        checkpoint = signed_checkpoint(note, meta["origin"], [key])
        assert (checkpoint.size, checkpoint.root) == (size, tree.root)
        checkpoints.append(checkpoint)
        if size:
            tile, entries = Tile(0, 0, size), Tile(None, 0, size)
            assert (folder / tile.path).read_bytes() == tree.partial(0)
            assert entries_of((folder / entries.path).read_bytes(), size) == leaves[:size]
            assert bundle(leaves[:size]) == (folder / entries.path).read_bytes()
    for old in checkpoints[1:]:
        nodes = TiledNodes(15, lambda tile: (folder / tile.path).read_bytes())
        verify_consistency(old.size, 15, old.root, checkpoints[15].root, consistency_proof(old.size, 15, nodes))


def test_the_log_of_300_leaves_is_rebuilt_from_its_tiles() -> None:
    """A full tile, two partial ones and a cosigned checkpoint fit together, for every leaf."""
    folder = shared("sunlight-mirror-300")
    meta: Any = shared_json("sunlight-mirror-300/meta.json")
    leaves = [leaf_hash(f"record {number}".encode()) for number in range(300)]
    tree = GrowingTree()
    (full,) = tree.extend(leaves)
    assert (folder / full.tile.path).read_bytes() == full.hashes
    assert (folder / "tile/0/001.p/44").read_bytes() == tree.partial(0)
    assert (folder / "tile/1/000.p/1").read_bytes() == tree.partial(1) == full.root
    assert sorted(tile.path for tile in tiles_of(300)) == sorted(
        str(path.relative_to(folder)) for path in (folder / "tile").rglob("*") if path.is_file()
    )
    note = Note.parse((folder / "checkpoint").read_bytes())
    mirror = [VerifierKey.parse(text) for text in meta["mirror_vkeys"]]
    checkpoint = signed_checkpoint(note, meta["origin"], mirror)
    assert (checkpoint.size, checkpoint.root) == (300, tree.root)
    nodes = TiledNodes(300, lambda tile: (folder / tile.path).read_bytes())
    for index, leaf in enumerate(leaves):
        verify_inclusion(leaf, index, 300, inclusion_proof(index, 300, nodes), checkpoint.root)


def test_cosignatures_of_the_public_witnesses_hold() -> None:
    """Time and text are what was signed; a signature of a kind that is unknown here counts for nothing."""
    folder = shared("sunlight-mirror-300")
    meta: Any = shared_json("sunlight-mirror-300/meta.json")
    for name, keys in (("witness", meta["witness_vkeys"]), ("witness2", meta["witness2_vkeys"])):
        note = Note.parse((folder / f"{name}.checkpoint").read_bytes())
        (signed,) = note.signers(map(VerifierKey.parse, keys))
        assert (signed.key.text, signed.time) == (keys[0], 0x69546780)
        assert note.data == (folder / f"{name}.checkpoint").read_bytes()


@settings(deadline=None)
@given(st.integers(0, 7), st.data())
def test_a_complete_subtree_has_its_root(height: int, data: st.DataObject) -> None:
    """The root of a row of hashes is that of the tree over them; their number is a power of two."""
    count = 1 << height
    hashes = [leaf_hash(bytes([number])) for number in range(count)]
    assert subtree_root(hashes) == MemoryTree(hashes).root()
    wrong = data.draw(st.integers(0, 256).filter(lambda number: number == 0 or number & (number - 1)))
    with pytest.raises(ValueError, match="not a complete subtree"):
        subtree_root([b""] * wrong)


@pytest.mark.parametrize("length", [0, 31, 33, 63, 65])
def test_a_tile_has_the_length_of_its_hashes(length: int) -> None:
    """Two hashes are 64 bytes, and no others."""
    with pytest.raises(MalformedProof):
        hashes_of(bytes(length), 2)
