"""Signing keys in files, and how trust passes from one to the next."""

from __future__ import annotations

from pathlib import Path

import pytest

from eventstore.proof.checkpoint import Checkpoint
from eventstore.proof.errors import BadSignature, MalformedProof, NotSigned
from eventstore.proof.keyring import Keyring
from eventstore.proof.keys import Kind
from eventstore.proof.merkle import EMPTY_ROOT
from eventstore.proof.note import Note, sign
from eventstore.proof.rotation import followed, read_rotation, rotation
from eventstore.proof.signing_keys import SigningKey
from eventstore.vault.keys import KeyUnavailable

NAME = "log.example/a"
A, B, C = (SigningKey(NAME, Kind.LOG, bytes([number]) * 32) for number in range(3))


def opened(folder: Path) -> Keyring:
    """The keys that are there."""
    return Keyring.open(folder, NAME, create=False)


def test_the_first_key_is_made_once(tmp_path: Path) -> None:
    """Made when asked for, mode 0600, and the same ever after; a folder without keys is told of."""
    folder = tmp_path / "log-keys" / "default"
    with pytest.raises(KeyUnavailable, match="no signing key"):
        opened(folder)
    made = Keyring.open(folder, NAME, create=True)
    assert (folder / "key-1").stat().st_mode & 0o777 == 0o600
    for again in (opened(folder), Keyring.open(folder, NAME, create=True)):
        assert again.verifiers == made.verifiers == [made.signer.verifier]
        assert again.rotations == []


def test_a_rotated_key_signs_and_the_old_ones_are_kept(tmp_path: Path) -> None:
    """An old checkpoint verifies with the keys as they are later, and an auditor gets from the first key to the last."""
    keys = Keyring.open(tmp_path, NAME, create=True)
    text = Checkpoint(NAME, 0, EMPTY_ROOT).text
    old = sign(text, [keys.signer])
    first = keys.signer.verifier
    statements = [keys.rotate(), keys.rotate()]
    assert opened(tmp_path).verifiers == keys.verifiers
    assert [note.data for note in opened(tmp_path).rotations] == [note.data for note in statements]
    assert opened(tmp_path).signer.verifier == keys.verifiers[2] != first
    assert [one.key for one in old.signers(keys.verifiers)] == [first]
    assert followed(first, keys.rotations) == keys.verifiers
    assert followed(keys.verifiers[1], keys.rotations) == keys.verifiers[1:]
    assert followed(A.verifier, keys.rotations) == [A.verifier]


def test_a_key_whose_rotation_was_not_written_was_never_used(tmp_path: Path) -> None:
    """A process that died between the two files left a key that does not sign; the next rotation takes it."""
    keys = Keyring.open(tmp_path, NAME, create=True)
    (tmp_path / "key-2").write_text(B.secret_text + "\n")
    (tmp_path / "key-2").chmod(0o600)
    assert opened(tmp_path).verifiers == keys.verifiers
    keys = opened(tmp_path)
    keys.rotate()
    assert opened(tmp_path).signer.verifier == B.verifier


def test_of_two_rotations_at_once_one_counts(tmp_path: Path) -> None:
    """Who is late learns it and reads again; both then have the same keys."""
    one, two = Keyring.open(tmp_path, NAME, create=True), opened(tmp_path)
    one.rotate()
    with pytest.raises(KeyUnavailable, match="another process rotated"):
        two.rotate()
    assert two.signer.verifier == one.verifiers[0]
    assert opened(tmp_path).verifiers == one.verifiers


def test_keys_that_cannot_be_trusted_are_not_used(tmp_path: Path) -> None:
    """Readable by others, of another log, missing, damaged or not following each other: nothing is signed with them."""

    def refused(why: str) -> None:
        with pytest.raises(KeyUnavailable, match=why) as refusal:
            opened(tmp_path)
        assert "PRIVATE" not in str(refusal.value)

    keys = Keyring.open(tmp_path, NAME, create=True)
    first = (tmp_path / "key-1").read_text()
    (tmp_path / "key-1").chmod(0o640)
    refused("can be read by others")
    (tmp_path / "key-1").chmod(0o600)
    with pytest.raises(KeyUnavailable, match=r"is not a signing key of log\.example/b"):
        Keyring.open(tmp_path, "log.example/b", create=False)
    keys.rotate()
    keys.rotate()
    for name, content in (
        ("key-1", first[:-5]), ("key-1", ""), ("key-1", A.secret_text), ("rotation-2", rotation(A, B).data.decode()),
        ("rotation-3", sign("x\n", [A]).data.decode()), ("rotation-3", (tmp_path / "rotation-2").read_text()),
    ):  # fmt: skip
        kept = (tmp_path / name).read_text()
        (tmp_path / name).write_text(content)
        refused("do not follow each other|are of other keys")
        (tmp_path / name).write_text(kept)
    (tmp_path / "rotation-2").unlink()
    refused("some are missing")
    (tmp_path / "key-1").unlink()
    refused("some are missing")


def test_a_rotation_needs_both_signatures() -> None:
    """The old key alone cannot name a successor that did not agree, and a thief's new key cannot name itself."""
    note = rotation(A, B)
    assert read_rotation(note) == (A.verifier, B.verifier)
    for signers in ([A], [B]):
        with pytest.raises(NotSigned, match="by the old and by the new"):
            read_rotation(sign(note.text, signers))
    with pytest.raises(NotSigned):
        read_rotation(sign(note.text, [C]))
    with pytest.raises(BadSignature):
        read_rotation(Note(note.text, rotation(A, C).lines[:1] + note.lines[1:]))


def test_a_rotation_is_of_one_logs_keys() -> None:
    """From a key to itself, to another log's key or to a witness's there is none, and no other text is one."""
    other, witness = SigningKey("log.example/b", Kind.LOG, bytes(32)), SigningKey(NAME, Kind.COSIGNER, b"w" * 32)
    for new in (A, other, witness):
        with pytest.raises(ValueError, match="from one key of a log to another"):
            rotation(A, new)
        text = f"fidelog log key rotation v1\n{NAME}\n{A.verifier.text}\n{new.verifier.text}\n"
        with pytest.raises(MalformedProof):
            read_rotation(sign(text, [A, new]))
    good = rotation(A, B).text
    for text in (
        good + "more\n",
        good.replace("v1", "v2"),
        Checkpoint(NAME, 0, EMPTY_ROOT).text,
        good.replace("\n", "\n\n", 1),
    ):
        with pytest.raises(MalformedProof):
            read_rotation(sign(text, [A, B]))
    with pytest.raises(MalformedProof):
        Checkpoint.parse(good)


def test_a_chain_with_a_gap_is_told() -> None:
    """A rotation that does not follow the one before it leads nowhere."""
    assert followed(A.verifier, [rotation(A, B), rotation(B, C)]) == [A.verifier, B.verifier, C.verifier]
    with pytest.raises(MalformedProof, match="does not follow"):
        followed(A.verifier, [rotation(A, B), rotation(A, C)])
