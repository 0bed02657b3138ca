"""Signatures are decided alike with and without the library, and what verifies needs nothing but Python."""

from __future__ import annotations

import subprocess
import sys

from hypothesis import given, settings
from hypothesis import strategies as st

from eventstore.proof.ed25519 import verified, verified_plainly
from eventstore.proof.keys import Kind
from eventstore.proof.signing_keys import SigningKey
from tests.eventstore.proof.vectors import OWN, ROOT, shared_json

BARE = """
import json, sys
sys.path.insert(0, sys.argv[1])
from eventstore.proof.leaf import leaf_of
from eventstore.proof.merkle import leaf_hash
from eventstore.proof.policy_file import parse_policy
from eventstore.proof.tlog_proof import TlogProof
from eventstore.proof.witness_exchange import AddCheckpoint
assert "cryptography" not in sys.modules
vectors, leaves = (json.load(open(name, encoding="utf-8")) for name in sys.argv[2:])
leaf = leaf_hash(leaves["leaves"][vectors["proof_of_leaf"]]["leaf"].encode())
proof = TlogProof.parse(vectors["proof"].encode())
print([one.time for one in proof.verify(leaf, parse_policy(vectors["policy"].encode())).witnesses])
"""


def test_bare_python_verifies_a_proof() -> None:
    """Without any package installed, a proof with log's signature and cosignature is verified."""
    command = [sys.executable, "-I", "-S", "-c", BARE, str(ROOT), str(OWN / "proofs.json"), str(OWN / "leaves.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("[1800000000]\n", "", 0)


def test_odd_signatures_are_decided_as_the_library_decides_them() -> None:
    """914 public edge cases: points of low order, encodings that are not canonical."""
    cases = shared_json("c2sp-cctv-ed25519/ed25519vectors.json")
    assert len(cases) == 914
    for case in cases:
        key, signature = bytes.fromhex(case["key"]), bytes.fromhex(case["sig"])
        message = case["msg"].encode()
        assert verified_plainly(key, message, signature) == verified(key, message, signature), case


@settings(deadline=None, max_examples=25)
@given(st.binary(min_size=32, max_size=32), st.text(max_size=40), st.integers(0, 511))
def test_a_signature_holds_and_no_change_of_it_does(seed: bytes, text: str, bit: int) -> None:
    """Both ways accept what was signed, and neither a changed signature, message or key, nor one of another length."""
    key = SigningKey("a", Kind.LOG, seed)
    public, message, signature = key.verifier.public, text.encode(), key.sign(text)
    flipped = (int.from_bytes(signature, "big") ^ 1 << bit).to_bytes(64, "big")
    other = (int.from_bytes(public, "big") ^ 1 << bit % 256).to_bytes(32, "big")
    for way in (verified, verified_plainly):
        assert way(public, message, signature)
        assert not way(public, message, flipped)
        assert not way(public, message + b"x", signature)
        assert not way(other, message, signature)
        for length in (0, 31, 63, 65):
            assert not way(public, message, (signature + b"\0")[:length])
        assert not way(public[:31], message, signature)
