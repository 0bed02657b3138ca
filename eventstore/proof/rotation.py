"""A log's key is replaced: a statement that the old and the new key sign, so that trust passes from one to the other."""

from __future__ import annotations

from collections.abc import Iterable

from eventstore.proof.errors import MalformedProof, NotSigned
from eventstore.proof.keys import Kind, Signer, VerifierKey
from eventstore.proof.note import Note, sign

_FIRST = "fidelog log key rotation v1"
"""No checkpoint begins so, and a rotation's second line is no number: neither is ever taken for the other."""


def rotation(old: Signer, new: Signer) -> Note:
    """The statement that `new` follows `old`. ValueError unless both are keys of one log."""
    names = {old.verifier.name, new.verifier.name}
    if len(names) != 1 or {old.verifier.kind, new.verifier.kind} != {Kind.LOG} or old.verifier == new.verifier:
        raise ValueError("a rotation is from one key of a log to another")
    return sign(f"{_FIRST}\n{names.pop()}\n{old.verifier.text}\n{new.verifier.text}\n", [old, new])


def read_rotation(note: Note) -> tuple[VerifierKey, VerifierKey]:
    """The old and the new key, both of which signed. Raises MalformedProof, BadSignature, NotSigned."""
    lines = note.text.split("\n")
    if len(lines) != 5 or lines[0] != _FIRST or lines[4]:
        raise MalformedProof("not the rotation of a log's key")
    old, new = VerifierKey.parse(lines[2]), VerifierKey.parse(lines[3])
    if {old.name, new.name} != {lines[1]} or {old.kind, new.kind} != {Kind.LOG} or old == new:
        raise MalformedProof("a rotation is from one key of a log to another")
    if len(note.signers([old, new])) != 2:
        raise NotSigned("a rotation is signed by the old and by the new key")
    return old, new


def followed(trusted: VerifierKey, rotations: Iterable[Note]) -> list[VerifierKey]:
    """The keys of a log from a trusted one on, the newest last. Rotations stand in their order; those before the
    trusted key are passed over. Raises MalformedProof, BadSignature, NotSigned."""
    keys = [trusted]
    for note in rotations:
        old, new = read_rotation(note)
        if old == keys[-1]:
            keys.append(new)
        elif len(keys) > 1:
            raise MalformedProof("a rotation does not follow the one before it")
    return keys
