"""Checkpoints: one spelling, and only the log's own."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventstore.proof.checkpoint import Checkpoint, signed_checkpoint
from eventstore.proof.errors import MalformedProof, NotSigned
from eventstore.proof.keys import Kind
from eventstore.proof.merkle import leaf_hash
from eventstore.proof.note import sign
from eventstore.proof.signing_keys import SigningKey
from eventstore.proof.strict import LARGEST
from tests.eventstore.proof.vectors import shared_json

LOG = SigningKey("log.example/a", Kind.LOG, bytes(range(32)))
ROOT = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
LINES = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), min_size=1, max_size=9)
CHECKPOINTS = st.builds(
    Checkpoint,
    LINES,
    st.integers(0, LARGEST),
    st.binary(min_size=32, max_size=32),
    st.lists(LINES, max_size=3).map(tuple),
)


@settings(deadline=None)
@given(CHECKPOINTS)
def test_a_checkpoint_is_read_back(checkpoint: Checkpoint) -> None:
    """Origin, size, root and further lines come back from the text."""
    assert Checkpoint.parse(checkpoint.text) == checkpoint


def test_the_bodies_of_the_public_vectors() -> None:
    """The bad ones are refused, and so are the good ones whose root is not a SHA-256 hash: this reader is stricter."""
    vectors = shared_json("transparency-dev-formats/checkpoint_body.json")
    for case in [*vectors["invalid"], *vectors["valid"]]:
        with pytest.raises(MalformedProof):
            Checkpoint.parse(case["m"])
    for case in vectors["valid"]:
        lines = case["m"].split("\n")
        found = Checkpoint.parse("\n".join([*lines[:2], ROOT, *lines[3:]]))
        assert (found.origin, found.size) == (case["origin"], case["size"])
        assert "".join(f"{line}\n" for line in found.extensions) == case["rest"]


def test_the_tree_heads_of_the_go_checksum_database() -> None:
    """A real head of another log is read; a size in hex and a root that is too long are not."""
    case = shared_json("golang-sumdb-note/notes.json")["tree_head"]
    found = Checkpoint.parse(case["valid"]["text"])
    assert found.size == case["valid"]["size"]
    assert found.root == leaf_hash(case["valid"]["root_is_leaf_hash_of_utf8"].encode())
    for text in case["invalid"]:
        with pytest.raises(MalformedProof):
            Checkpoint.parse(text)


@pytest.mark.parametrize("size", ["", "00", "01", "+1", "-1", " 1", "1 ", "1_0", "٣", "1.0", "0x1", str(1 << 63)])
def test_a_size_has_one_spelling(size: str) -> None:
    """What int() would take beyond plain digits is refused."""
    with pytest.raises(MalformedProof):
        Checkpoint.parse(f"a\n{size}\n{ROOT}\n")


@pytest.mark.parametrize(
    "text", ["", "\n", "a\n1\n", f"a\n1\n{ROOT}", f"a\n1\n{ROOT}\n\n", f"\n1\n{ROOT}\n", f"a\n1\n{ROOT}\n\nx\n"]
)
def test_lines_are_not_empty_and_all_end(text: str) -> None:
    """Three lines at least, each with something on it and an end."""
    with pytest.raises(MalformedProof):
        Checkpoint.parse(text)


@pytest.mark.parametrize(
    "root", [ROOT[:-1], ROOT + "=", ROOT.replace("U=", "V="), ROOT.replace("/", "_"), " " + ROOT, "AAAA"]
)
def test_a_root_is_32_bytes_in_one_spelling(root: str) -> None:
    """Base64 that decodes to the same bytes, or to others, is not the root's text."""
    with pytest.raises(MalformedProof):
        Checkpoint.parse(f"a\n0\n{root}\n")


def test_only_the_logs_own_checkpoint_is_accepted() -> None:
    """Another origin signed with the log's key is refused, and so is an empty tree with a root."""
    own = Checkpoint("log.example/a", 7, leaf_hash(b""))
    assert signed_checkpoint(sign(own.text, [LOG]), "log.example/a", [LOG.verifier]) == own
    with pytest.raises(NotSigned, match="another log's"):
        signed_checkpoint(sign(own.text, [LOG]), "log.example/b", [LOG.verifier])
    with pytest.raises(NotSigned):
        signed_checkpoint(sign(own.text, [LOG]), "log.example/a", [])
    empty = Checkpoint("log.example/a", 0, leaf_hash(b""))
    with pytest.raises(MalformedProof, match="empty tree"):
        signed_checkpoint(sign(empty.text, [LOG]), "log.example/a", [LOG.verifier])
