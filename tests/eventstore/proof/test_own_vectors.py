"""Our own vectors of docs/spec: keys, a checkpoint, a policy and a proof file, kept as bytes so that no change is silent."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from eventstore.proof.checkpoint import Checkpoint, signed_checkpoint
from eventstore.proof.errors import NotProven, QuorumMissed
from eventstore.proof.growth import GrowingTree
from eventstore.proof.keys import VerifierKey
from eventstore.proof.merkle import leaf_hash, verify_consistency
from eventstore.proof.merkle_paths import MemoryTree, consistency_proof, inclusion_proof
from eventstore.proof.note import Note, sign
from eventstore.proof.policy_file import parse_policy
from eventstore.proof.signing_keys import SigningKey
from eventstore.proof.tlog_proof import TlogProof
from tests.eventstore.proof.vectors import own_json


@pytest.fixture(scope="module")
def vectors() -> Any:
    """The file."""
    return own_json("proofs.json")


def leaves() -> list[bytes]:
    """The hashes of the leaves that the proofs are about."""
    return [leaf_hash(one["leaf"].encode()) for one in own_json("leaves.json")["leaves"]]


def test_keys_are_written_as_they_stand_there(vectors: Any) -> None:
    """Private and public forms belong together."""
    for name, text in vectors["keys"].items():
        key = SigningKey.parse(text)
        assert (key.secret_text, key.verifier.text) == (text, vectors["verifier_keys"][name])


def test_the_checkpoint_is_signed_anew_byte_for_byte(vectors: Any) -> None:
    """The tree of the leaves, signed by log and witness at the given time, is the checkpoint."""
    tree = GrowingTree()
    tree.extend(leaves())
    keys = [SigningKey.parse(vectors["keys"][name]) for name in ("log", "witness")]
    text = Checkpoint(keys[0].verifier.name, tree.size, tree.root).text
    assert sign(text, keys, vectors["cosigned_at"]).data == vectors["checkpoint"].encode()
    assert tree.partial(0).hex() == vectors["tiles"]["tile/0/000.p/8"]


def test_the_proof_file_is_made_anew_and_accepted(vectors: Any) -> None:
    """The file proves its leaf under the policy, and no other leaf; without the cosignature the quorum is missed."""
    index, tree = vectors["proof_of_leaf"], MemoryTree(leaves())
    proof = TlogProof(index, tuple(inclusion_proof(index, 8, tree.node)), vectors["checkpoint"].encode())
    assert proof.data == vectors["proof"].encode()
    policy = parse_policy(vectors["policy"].encode())
    accepted = TlogProof.parse(proof.data).verify(leaves()[index], policy)
    assert [one.time for one in accepted.witnesses] == [vectors["cosigned_at"]]
    with pytest.raises(NotProven):
        proof.verify(leaves()[0], policy)
    with pytest.raises(QuorumMissed):
        policy.accept(Note.parse(vectors["old_checkpoint"].encode()))


def test_the_old_checkpoint_is_continued_by_the_new_one(vectors: Any) -> None:
    """The consistency proof is the one that stands there, and it holds between the two signed roots."""
    key = VerifierKey.parse(vectors["verifier_keys"]["log"])
    old, new = (
        signed_checkpoint(Note.parse(vectors[name].encode()), key.name, [key])
        for name in ("old_checkpoint", "checkpoint")
    )
    proof = consistency_proof(old.size, new.size, MemoryTree(leaves()).node)
    assert [base64.b64encode(one).decode() for one in proof] == vectors["consistency_proof"]
    verify_consistency(old.size, new.size, old.root, new.root, proof)
