"""Proof files: read strictly, and believed only with everything in place."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventstore.proof.checkpoint import Checkpoint
from eventstore.proof.errors import MalformedProof, NotProven, NotSigned, ProofError, QuorumMissed
from eventstore.proof.keys import Kind
from eventstore.proof.merkle import leaf_hash
from eventstore.proof.merkle_paths import MemoryTree, inclusion_proof
from eventstore.proof.note import Note, sign
from eventstore.proof.policy import Policy, Witness
from eventstore.proof.signing_keys import SigningKey
from eventstore.proof.tlog_proof import TlogProof
from tests.eventstore.proof.vectors import shared_json, unbase64

LOG = SigningKey("log.example/a", Kind.LOG, bytes(range(32)))
WITNESS = SigningKey("witness.example/b", Kind.COSIGNER, bytes(range(1, 33)))
POLICY = Policy((LOG.verifier,), {b"w": Witness(WITNESS.verifier)}, b"w")
TREE = MemoryTree(leaf_hash(bytes([number])) for number in range(11))
TIME = 1_800_000_000


def proof_of(index: int, size: int = 11) -> TlogProof:
    """A good proof for a leaf, cosigned."""
    checkpoint = Checkpoint("log.example/a", size, TREE.root(size))
    hashes = tuple(inclusion_proof(index, size, TREE.node))
    return TlogProof(index, hashes, sign(checkpoint.text, [LOG, WITNESS], TIME).data)


def test_the_files_of_the_public_vectors() -> None:
    """Each is written as stated and read back."""
    for case in shared_json("transparency-dev-formats/tlog_proof.json")["marshal"]:
        extra = case.get("extra_utf8")
        proof = TlogProof(
            case["index"],
            tuple(map(unbase64, case["hashes"])),
            case["checkpoint"].encode(),
            None if extra is None else extra.encode(),
        )
        assert proof.data == case["want"].encode()
        assert TlogProof.parse(proof.data) == proof


def test_the_broken_files_of_the_public_vectors() -> None:
    """Each is refused."""
    for case in shared_json("transparency-dev-formats/tlog_proof.json")["unmarshal_errors"]:
        with pytest.raises(MalformedProof):
            TlogProof.parse(case["proof"].encode())


@pytest.mark.parametrize("size", [1, 2, 7, 8, 11])
def test_every_leaf_of_a_tree_is_proven(size: int) -> None:
    """The proof names the checkpoint, the log's key and the witnesses with their times."""
    for index in range(size):
        accepted = TlogProof.parse(proof_of(index, size).data).verify(TREE.node(0, index), POLICY)
        assert accepted.checkpoint == Checkpoint("log.example/a", size, TREE.root(size))
        assert accepted.log == LOG.verifier
        assert [(one.key, one.time) for one in accepted.witnesses] == [(WITNESS.verifier, TIME)]


def test_a_proof_is_of_its_leaf_alone() -> None:
    """Another leaf, and the right leaf at another place, are not proven."""
    with pytest.raises(NotProven):
        proof_of(3).verify(TREE.node(0, 4), POLICY)
    with pytest.raises(NotProven):
        replace(proof_of(3), index=2).verify(TREE.node(0, 3), POLICY)
    with pytest.raises(MalformedProof, match="has no leaf at index 11"):
        replace(proof_of(3), index=11).verify(TREE.node(0, 3), POLICY)


def test_without_the_log_or_the_quorum_nothing_is_proven() -> None:
    """A stranger's checkpoint and one that too few witnesses cosigned are told apart."""
    alone = replace(proof_of(3), checkpoint=sign(Note.parse(proof_of(3).checkpoint).text, [LOG]).data)
    with pytest.raises(QuorumMissed):
        alone.verify(TREE.node(0, 3), POLICY)
    assert alone.verify(TREE.node(0, 3), replace(POLICY, quorum=None)).witnesses == ()
    with pytest.raises(NotSigned):
        proof_of(3).verify(TREE.node(0, 3), replace(POLICY, logs=()))
    proof_of(3).verify(TREE.node(0, 3), replace(POLICY, logs=()), [LOG.verifier])


@settings(deadline=None)
@given(st.integers(0, 10), st.data())
def test_one_bit_changed_in_a_proof_file_is_noticed(index: int, data: st.DataObject) -> None:
    """Wherever the bit is, the file proves nothing any more, except that the witness's or log's line may be at stake."""
    whole = bytearray(proof_of(index).data)
    bit = data.draw(st.integers(0, len(whole) * 8 - 1))
    whole[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ProofError):
        TlogProof.parse(bytes(whole)).verify(TREE.node(0, index), POLICY)


@settings(deadline=None)
@given(st.binary(max_size=60), st.integers(0, 2**63 - 1), st.lists(st.binary(min_size=32, max_size=32), max_size=63))
def test_a_file_is_read_back(extra: bytes, index: int, hashes: list[bytes]) -> None:
    """Whatever is in it, as long as it is allowed; extra data that is empty is not the same as none."""
    for one in (extra, None, b""):
        proof = TlogProof(index, tuple(hashes), b"anything\n\n\xff", one)
        assert TlogProof.parse(proof.data) == proof


def test_a_proof_has_at_most_63_hashes() -> None:
    """No tree needs more."""
    with pytest.raises(MalformedProof, match="64 hashes, 63 at most"):
        TlogProof.parse(TlogProof(0, (bytes(32),) * 64, b"").data)
