"""What a witness answers (c2sp.org/tlog-witness), and what a log makes of the answer. No socket and no clock in here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from eventstore.proof.checkpoint import Checkpoint
from eventstore.proof.errors import BadSignature, MalformedProof, MalformedSignature, NotProven, NotSigned
from eventstore.proof.keys import Kind, Signer, VerifierKey
from eventstore.proof.merkle import verify_consistency
from eventstore.proof.note import Note, SignatureLine, parse_lines
from eventstore.proof.strict import base64_text, decimal, hash_value, utf8

MOST_HASHES = 63
MOST_BYTES = 1 << 17
PLAIN = "text/plain; charset=utf-8"
SIZE = "text/x.tlog.size"


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """A log asks for a cosignature of its checkpoint, which continues the one of size `old`."""

    old: int
    proof: tuple[bytes, ...]
    note: Note

    @classmethod
    def parse(cls, body: bytes) -> AddCheckpoint:
        """The body of `POST add-checkpoint`. Raises MalformedProof."""
        if len(body) > MOST_BYTES:
            raise MalformedProof(f"the request has {len(body)} bytes, {MOST_BYTES} at most")
        head, separator, note = body.partition(b"\n\n")
        first, *proof = utf8(head, "the request").split("\n")
        if not separator or not first.startswith("old "):
            raise MalformedProof("the request does not begin with an old size, or has no checkpoint")
        if len(proof) > MOST_HASHES:
            raise MalformedProof(f"the request has {len(proof)} hashes, {MOST_HASHES} at most")
        old = decimal(first.removeprefix("old "), "the old size")
        return cls(old, tuple(hash_value(line, "a hash of the proof") for line in proof), Note.parse(note))

    @property
    def body(self) -> bytes:
        """The request's bytes."""
        return "\n".join([f"old {self.old}", *map(base64_text, self.proof), "\n"]).encode() + self.note.data


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, content type and body, and with 200 the checkpoint that must be stored before it is sent.

    Whoever stores it must do so only if the stored size is still the one that was decided upon; else two requests at
    once could take the witness back to a smaller size.
    """

    status: int
    content_type: str
    body: bytes
    store: Note | None = None


def answer(
    body: bytes,
    logs: Mapping[str, Sequence[VerifierKey]],
    latest: Callable[[str], Checkpoint | None],
    signers: Sequence[Signer],
    time: int,
) -> Answer:
    """Decide on a request: `logs` has the known origins with their keys, `latest` gives the checkpoint last cosigned
    for an origin, `time` is in seconds since 1970."""
    try:
        request = AddCheckpoint.parse(body)
        new = Checkpoint.parse(request.note.text)
    except MalformedSignature as error:
        return _refusal(403, f"invalid signature: {error}")
    except MalformedProof as error:
        return _refusal(400, str(error))
    keys = logs.get(new.origin)
    if keys is None:
        return _refusal(404, "unknown log")
    try:
        request.note.signers(keys)
    except (BadSignature, NotSigned) as error:
        return _refusal(403, f"invalid signature: {error}")
    if request.old > new.size:
        return _refusal(400, "the old size is above the checkpoint's")
    known = latest(new.origin)
    size = 0 if known is None else known.size
    if request.old != size:
        return Answer(409, SIZE, f"{size}\n".encode())
    try:
        _check(request, known, new)
    except (MalformedProof, NotProven) as error:
        return _refusal(422, f"consistency proof: {error}")
    lines = [SignatureLine.made_by(signer, request.note.text, time).text for signer in signers]
    return Answer(200, PLAIN, "".join(lines).encode(), request.note)


def _check(request: AddCheckpoint, known: Checkpoint | None, new: Checkpoint) -> None:
    """The new tree continues the known one. Nothing is to be proven of an empty one, so nothing may be given."""
    new.check_empty()
    if known is None or known.size == 0:
        if request.proof:
            raise MalformedProof("there is nothing to prove of an empty tree")
        return
    verify_consistency(known.size, new.size, known.root, new.root, request.proof)


def _refusal(status: int, reason: str) -> Answer:
    return Answer(status, PLAIN, f"{reason}\n".encode())


def with_cosignatures(note: Note, body: bytes, witnesses: Iterable[VerifierKey]) -> Note:
    """The note with the cosignatures of an answer that are the given witnesses'; a newer one takes an older one's place.

    Lines of others are left out. Raises MalformedProof, BadSignature, and NotSigned when nothing is left.
    """
    if len(body) > MOST_BYTES:
        raise MalformedProof(f"the answer has {len(body)} bytes, {MOST_BYTES} at most")
    given = Note(note.text, tuple(parse_lines(utf8(body, "the answer"))))
    signed = given.signers(key for key in witnesses if key.kind is Kind.COSIGNER)
    names = {(one.key.name, one.key.id) for one in signed}
    kept = [line for line in note.lines if (line.name, line.key_id) not in names]
    new = {(line.name, line.key_id): line for line in reversed(given.lines) if (line.name, line.key_id) in names}
    return Note(note.text, (*kept, *reversed(new.values())))
