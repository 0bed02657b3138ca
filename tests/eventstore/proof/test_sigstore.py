"""Entries of the Rekor logs: a log that others run is verified with what verifies ours."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from eventstore.proof.checkpoint import Checkpoint, signed_checkpoint
from eventstore.proof.errors import MalformedProof, NotProven, ProofError
from eventstore.proof.keys import Kind, VerifierKey
from eventstore.proof.merkle import leaf_hash, verify_inclusion
from eventstore.proof.note import Note
from tests.eventstore.proof.vectors import shared_json

NAME = "log2025-alpha1.rekor.sigstage.dev"

MERKLE_FAILS = {"inclusion-proof-corrupted-hash_fail", "invalid-inclusion-proof_fail"}
"""Of the entries that are signed with a key that is not here, those whose inclusion proof itself is false."""
OTHER_ROOT = {"checkpoint-wrong-roothash_fail"}
"""Those whose checkpoint has another root than the proof."""


def entries() -> Any:
    """All cases."""
    return shared_json("sigstore-conformance/tlog_entries.json")


def key() -> VerifierKey:
    """The key of the second Rekor's log, whose id the vectors give too."""
    (log,) = [log for log in entries()["tlogs"] if log["baseUrl"] == f"https://{NAME}"]
    found = VerifierKey(NAME, Kind.LOG, base64.b64decode(log["publicKey"]["rawBytes"])[-32:])
    assert base64.b64decode(log["logId"]["keyId"])[:4] == found.id
    return found


def included(entry: Any, root: bytes) -> None:
    """The entry's leaf is in the tree with this root. Raises NotProven, MalformedProof."""
    proof = entry["inclusionProof"]
    verify_inclusion(
        leaf_hash(base64.b64decode(entry["canonicalizedBody"])),
        int(proof["logIndex"]),
        int(proof["treeSize"]),
        [base64.b64decode(one) for one in proof["hashes"]],
        root,
    )


def verified(entry: Any) -> None:
    """Signature, origin, size, root and inclusion. Raises ProofError."""
    proof = entry.get("inclusionProof")
    if proof is None:
        raise MalformedProof("there is no inclusion proof")
    checkpoint = signed_checkpoint(Note.parse(proof["checkpoint"]["envelope"].encode()), NAME, [key()])
    assert (checkpoint.size, checkpoint.root) == (int(proof["treeSize"]), base64.b64decode(proof["rootHash"]))
    included(entry, checkpoint.root)


def test_the_entries_of_the_second_rekor_are_verified_in_full() -> None:
    """Six pass and six fail, as stated: signatures of others are ignored, and nothing may be missing."""
    cases = [case for case in entries()["entries"] if case["case"].startswith("rekor2-")]
    assert len(cases) == 12
    for case in cases:
        try:
            verified(case["tlog_entry"])
            passed = True
        except ProofError:
            passed = False
        assert passed == (case["expect"] == "ok"), case["case"]


def test_the_entries_of_the_first_rekor_are_parsed_and_their_proofs_checked() -> None:
    """Their key is not here; notes are read, and the inclusion proof says what it says."""
    cases = [case for case in entries()["entries"] if not case["case"].startswith("rekor2-")]
    assert len(cases) == 6
    for case in cases:
        entry = case["tlog_entry"]
        root = base64.b64decode(entry["inclusionProof"]["rootHash"])
        if case["case"] in MERKLE_FAILS:
            with pytest.raises(NotProven):
                included(entry, root)
        else:
            included(entry, root)
        envelope = entry["inclusionProof"].get("checkpoint", {}).get("envelope")
        if envelope is not None:
            note = Note.parse(envelope.encode())
            assert note.data == envelope.encode()
            assert (Checkpoint.parse(note.text).root == root) == (case["case"] not in OTHER_ROOT), case["case"]
