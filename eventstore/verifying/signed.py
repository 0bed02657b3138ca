"""Checkpoints as the database has them: their form, whose they are, and which key signed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from eventstore.proof.checkpoint import Checkpoint
from eventstore.proof.errors import BadSignature, MalformedProof, NotSigned
from eventstore.proof.keys import VerifierKey
from eventstore.proof.note import Note
from eventstore.verifying import findings
from eventstore.verifying.verdicts import Finding


class Ending(NamedTuple):
    """A checkpoint whose tree ends in a range: the root it names, the root over the range's leaves up to its size, and
    which of the log's keys signed it (their number in the order of their succession)."""

    origin: str
    size: int
    root: bytes
    right: bytes
    key: int


def check(origin: str, size: int, root: bytes, note: str, keys: Mapping[str, Sequence[VerifierKey]]) -> int | Finding:
    """The number of the key that signed a stored checkpoint, or what is wrong with it."""
    try:
        parsed = Note.parse(note.encode())
        found = Checkpoint.parse(parsed.text)
        found.check_empty()
        if (found.origin, found.size, found.root) != (origin, size, root) or found.extensions:
            return findings.bad_checkpoint(size, "does not say what its row says: the row or the note was changed")
        known = keys.get(origin, ())
        if not known:
            return findings.bad_checkpoint(size, f"is of another log, {origin}, of which no key is known here")
        signed = {one.key for one in parsed.signers(known)}
        return max(number for number, key in enumerate(known) if key in signed)
    except BadSignature:
        return findings.bad_checkpoint(size, "was changed: its signature is not that of the log's key")
    except NotSigned:
        return findings.bad_checkpoint(size, "is signed by no key of the log that is known here")
    except MalformedProof as error:
        return findings.bad_checkpoint(size, f"is malformed: {error}")
