"""The Merkle tree: public vectors, another implementation, and proofs that fail at the smallest change."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from typing import Any

import pymerkle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventstore.proof.errors import MalformedProof, NotProven, ProofError
from eventstore.proof.merkle import EMPTY_ROOT, leaf_hash, node_hash, verify_consistency, verify_inclusion
from eventstore.proof.merkle_paths import MemoryTree, Node, consistency_proof, inclusion_proof
from tests.eventstore.proof.vectors import shared_json, unbase64

LARGEST = 300


@cache
def tree() -> MemoryTree:
    """A tree whose leaf i is the number i in two bytes."""
    return MemoryTree(leaf_hash(number.to_bytes(2, "big")) for number in range(LARGEST))


def raises(call: Callable[..., None], *arguments: Any) -> bool:
    """Whether a proof is refused, in one of the ways of the closed set."""
    try:
        call(*arguments)
    except ProofError:
        return True
    return False


SPANS = st.integers(1, LARGEST).flatmap(lambda new: st.tuples(st.integers(1, new), st.just(new)))


def test_the_inclusion_vectors() -> None:
    """98 good and bad inclusion proofs give the stated results."""
    cases = shared_json("transparency-dev-merkle/inclusion.json")
    assert len(cases) == 98
    for case in cases:
        proof = [unbase64(one) for one in case["proof"] or ()]
        arguments = unbase64(case["leafHash"]), case["leafIdx"], case["treeSize"], proof, unbase64(case["root"])
        assert raises(verify_inclusion, *arguments) == case["wantErr"], case["file"]


def test_the_consistency_vectors() -> None:
    """98 good and bad consistency proofs give the stated results."""
    cases = shared_json("transparency-dev-merkle/consistency.json")
    assert len(cases) == 98
    for case in cases:
        proof = [unbase64(one) for one in case["proof"] or ()]
        arguments = case["size1"], case["size2"], unbase64(case["root1"]), unbase64(case["root2"]), proof
        assert raises(verify_consistency, *arguments) == case["wantErr"], case["file"]


def test_the_reference_tree() -> None:
    """Leaves, nodes and roots of the eight-leaf tree of RFC 6962's authors."""
    case = shared_json("transparency-dev-merkle/rfc6962_reference_tree.json")
    made = MemoryTree(leaf_hash(bytes.fromhex(one)) for one in case["leaf_inputs_hex"])
    assert [made.root(size).hex() for size in range(9)] == case["root_hashes_hex"]
    for height, nodes in enumerate(case["node_hashes_hex"]):
        assert [made.node(height, index).hex() for index in range(len(nodes))] == nodes
    for one in case["hasher_vectors"]:
        parts = [bytes.fromhex(one[key]) for key in ("input_hex", "left_hex", "right_hex") if key in one]
        hasher: Any = {"empty_root": lambda: EMPTY_ROOT, "leaf": leaf_hash, "node": node_hash}[one["fn"]]
        assert hasher(*parts).hex() == one["want"], one["desc"]


def test_every_inclusion_proof_up_to_size_130() -> None:
    """Each root and each inclusion proof of each tree and subtree is byte for byte as the public digests say."""
    vectors = shared_json("transparency-dev-merkle/subtree_accumulated_digests.json")
    want = {one["name"]: one["want"] for one in vectors["digests"]}
    whole = MemoryTree(leaf_hash(bytes([number])) for number in range(130))
    roots, proofs = hashlib.sha256(), hashlib.sha256()
    for end in range(131):
        for start in range(end + 1):
            size = end - start
            if size and start % (1 << (size - 1).bit_length()):
                continue
            part = from_leaf(whole, start)
            root = MemoryTree(part(0, index) for index in range(size)).root()
            roots.update(f"[{start}, {end}) {root.hex()}\n".encode())
            for index in range(size):
                proof = inclusion_proof(index, size, part)
                hashes = "".join(f" {one.hex()}" for one in proof)
                proofs.update(f"{start + index} [{start}, {end}){hashes}\n".encode())
    assert roots.hexdigest() == want["subtree_hash"]
    assert proofs.hexdigest() == want["subtree_inclusion_proof"]


@settings(deadline=None)
@given(st.lists(st.binary(max_size=2), min_size=1, max_size=40), st.data())
def test_another_implementation_agrees(entries: list[bytes], data: st.DataObject) -> None:
    """On random trees an independent package has the same leaf hashes, roots and inclusion proofs, and its
    proofs and ours hold for the same roots."""
    new = data.draw(st.integers(1, len(entries)))
    old, index = data.draw(st.integers(1, new)), data.draw(st.integers(0, new - 1))
    make: Any = pymerkle.InmemoryTree
    ours, theirs = MemoryTree(map(leaf_hash, entries)), make(algorithm="sha256")
    for entry in entries:
        theirs.append_entry(entry)
    roots = ours.root(old), ours.root(new)
    assert roots == (theirs.get_root(old), theirs.get_root(new))
    leaf = ours.node(0, index)
    assert leaf == theirs.get_leaf(index + 1)
    inclusion, consistency = theirs.prove_inclusion(index + 1, new), theirs.prove_consistency(old, new)
    pymerkle.verify_inclusion(leaf, roots[1], inclusion, index + 1, new)
    pymerkle.verify_consistency(*roots, consistency, old, new)
    assert sorted(hashes_of(inclusion)) == sorted([leaf, *inclusion_proof(index, new, ours.node)])
    verify_consistency(old, new, theirs.get_root(old), theirs.get_root(new), consistency_proof(old, new, ours.node))


@settings(deadline=None)
@given(SPANS, st.data())
def test_an_inclusion_proof_holds_and_no_change_of_it_does(span: tuple[int, int], data: st.DataObject) -> None:
    """The right proof is accepted; with one bit, hash, index or size changed it is refused."""
    position, size = span
    index, ours = position - 1, tree()
    leaf, root, proof = ours.node(0, index), ours.root(size), inclusion_proof(index, size, ours.node)
    verify_inclusion(leaf, index, size, proof, root)
    for hashes in changed_hashes([leaf, root, *proof], data):
        assert raises(verify_inclusion, hashes[0], index, size, hashes[2:], hashes[1])
    for hashes in other_lengths(proof, data):
        assert raises(verify_inclusion, leaf, index, size, hashes, root)
    other = data.draw(st.integers(-2, size + 2).filter(lambda one: one != index))
    assert raises(verify_inclusion, leaf, other, size, proof, root)


@settings(deadline=None)
@given(SPANS, st.data())
def test_a_consistency_proof_holds_and_no_change_of_it_does(span: tuple[int, int], data: st.DataObject) -> None:
    """The right proof is accepted; with one bit or hash changed, or for another old size, it is refused."""
    old, new = span
    ours = tree()
    roots, proof = (ours.root(old), ours.root(new)), consistency_proof(old, new, ours.node)
    verify_consistency(old, new, roots[0], roots[1], proof)
    for hashes in changed_hashes([*roots, *proof], data):
        assert raises(verify_consistency, old, new, *hashes[:2], hashes[2:])
    for hashes in other_lengths(proof, data):
        assert raises(verify_consistency, old, new, *roots, hashes)
    other = data.draw(st.integers(-1, new + 2).filter(lambda one: one != old))
    assert raises(verify_consistency, other, new, *roots, proof)


@pytest.mark.parametrize(("old", "new"), [(0, 0), (0, 5), (-1, 5), (6, 5)])
def test_there_is_no_consistency_proof_of_nothing(old: int, new: int) -> None:
    """From the empty tree, or to a smaller one, nothing is proven, whatever is given."""
    with pytest.raises(MalformedProof):
        verify_consistency(old, new, EMPTY_ROOT, tree().root(5), [])
    with pytest.raises(ValueError, match="no consistency proof"):
        consistency_proof(old, new, tree().node)


def test_two_roots_for_one_size_are_not_consistent() -> None:
    """A log that shows two histories of one size is caught by its roots alone."""
    with pytest.raises(NotProven, match="two roots for one tree size"):
        verify_consistency(5, 5, tree().root(5), tree().root(6), [])


def from_leaf(whole: MemoryTree, start: int) -> Node:
    """The subtrees of the tree over the leaves from `start` on."""
    return lambda height, index: whole.node(height, index + (start >> height))


def hashes_of(theirs: Any) -> list[bytes]:
    """The hashes of the other package's proof, the leaf itself among them."""
    return [bytes.fromhex(one) for one in theirs.serialize()["path"]]


def changed_hashes(hashes: list[bytes], data: st.DataObject) -> list[list[bytes]]:
    """The hashes with one bit of one of them changed, with one cut short, and with one made longer."""
    place = data.draw(st.integers(0, len(hashes) - 1))
    bit = data.draw(st.integers(0, 255))
    flipped = (int.from_bytes(hashes[place], "big") ^ (1 << bit)).to_bytes(32, "big")
    return [
        [*hashes[:place], changed, *hashes[place + 1 :]]
        for changed in (flipped, hashes[place][:-1], hashes[place] + b"\0", b"")
    ]


def other_lengths(proof: list[bytes], data: st.DataObject) -> list[list[bytes]]:
    """The proof with a hash more at some place, and one fewer."""
    place = data.draw(st.integers(0, len(proof)))
    more = [[*proof[:place], tree().node(0, 0), *proof[place:]]]
    return more + ([proof[: place - 1] + proof[place:]] if place else [])
