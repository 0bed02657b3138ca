"""What a bundle is held against: a checkpoint that its reader has, a policy, or both; and how its own follows from that."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from eventstore.proof.checkpoint import Checkpoint, signed_checkpoint
from eventstore.proof.errors import MalformedProof, NotProven, NotSigned, QuorumMissed
from eventstore.proof.export.made import json_object, whole
from eventstore.proof.export.verdict import NotVerifiable, Tampered
from eventstore.proof.keys import VerifierKey
from eventstore.proof.merkle import verify_consistency
from eventstore.proof.note import Note
from eventstore.proof.policy import Policy
from eventstore.proof.rotation import followed
from eventstore.proof.strict import base64_text, hash_value


@dataclass(frozen=True, slots=True)
class LogKeys:
    """The keys of a log, the newest last, and the statements by which each followed the one before."""

    keys: tuple[VerifierKey, ...]
    rotations: tuple[Note, ...]

    @classmethod
    def parse(cls, data: bytes) -> LogKeys:
        """From log-keys.json. Raises MalformedProof, BadSignature, NotSigned."""
        found = json_object(data, "log-keys.json")
        texts, notes = found.get("keys"), found.get("rotations")
        for value in (texts, notes):
            if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
                raise MalformedProof("log-keys.json does not list keys and rotations")
        keys = tuple(VerifierKey.parse(text) for text in texts or ())
        rotations = tuple(Note.parse(_utf8(text)) for text in notes or ())
        if not keys or tuple(followed(keys[0], rotations)) != keys:
            raise MalformedProof("the keys in log-keys.json do not follow each other")
        parsed = cls(keys, rotations)
        if parsed.data != data:
            raise MalformedProof("log-keys.json is not written as an export writes it")
        return parsed

    @property
    def data(self) -> bytes:
        """The file's bytes."""
        content = {
            "keys": [key.text for key in self.keys],
            "rotations": [note.data.decode() for note in self.rotations],
        }
        return json.dumps(content, indent=1).encode() + b"\n"

    def after(self, trusted: Sequence[VerifierKey]) -> list[VerifierKey]:
        """The trusted keys, and those that followed them."""
        return [key for one in trusted for key in followed(one, self.rotations)]


@dataclass(frozen=True, slots=True)
class Consistency:
    """That the tree of the size `new` continues the one of the size `old`."""

    old: int
    new: int
    hashes: tuple[bytes, ...]

    @classmethod
    def parse(cls, data: bytes) -> Consistency:
        """From consistency.json, or from what `GET /audit/consistency` answered. Raises MalformedProof."""
        found = json_object(data, "the consistency proof")
        hashes = found.get("hashes")
        if not isinstance(hashes, list) or not all(isinstance(one, str) for one in hashes):
            raise MalformedProof("the consistency proof has no hashes")
        return cls(
            whole(found.get("old"), "the old size"),
            whole(found.get("new"), "the new size"),
            tuple(hash_value(one, "a hash of the consistency proof") for one in hashes),
        )

    @property
    def data(self) -> bytes:
        """The file's bytes."""
        content = {"old": self.old, "new": self.new, "hashes": [base64_text(one) for one in self.hashes]}
        return json.dumps(content).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class Held:
    """What the reader of a bundle has: a checkpoint as a file's bytes, a policy, a consistency proof between the
    checkpoint's size and the bundle's."""

    checkpoint: bytes | None = None
    policy: Policy | None = None
    consistency: bytes | None = None

    def check(self) -> None:
        """Raises NotVerifiable without anything that the bundle did not bring itself."""
        if self.checkpoint is None and self.policy is None:
            raise NotVerifiable(
                "nothing to hold the export against: give a checkpoint that you have, a policy, or both"
            )


class Anchor:
    """The bundle's checkpoint, believed as far as what is held reaches; `connect` does the rest.

    Where the sizes differ and no proof was given, the rows may still show it: `wants` is the size of which a root is
    asked then.
    """

    def __init__(self, held: Held, note: Note, keys: LogKeys, enclosed: Consistency | None) -> None:
        """Raises ProofError, NotVerifiable, Tampered."""
        held.check()
        self.found = Checkpoint.parse(note.text)
        self.wants: int | None = None
        self._given = self._own(held, note, keys)
        if self._given is not None:
            self._compare(self._given, held, enclosed)

    def _own(self, held: Held, note: Note, keys: LogKeys) -> Checkpoint | None:
        """Check who signed; the checkpoint that the reader has, if it gave one."""
        given = None if held.checkpoint is None else Note.parse(held.checkpoint)
        origin = self.found.origin
        if given is not None and Checkpoint.parse(given.text).origin != origin:
            raise NotVerifiable(
                f"the checkpoint is of the log {Checkpoint.parse(given.text).origin}, the export of {origin}"
            )
        known = keys.keys if held.policy is None else keys.after(held.policy.logs)
        trusted = [key for key in known if key.name == origin]
        signed_checkpoint(note, origin, trusted)
        own = None if given is None else signed_checkpoint(given, origin, trusted)
        if held.policy is not None:
            # Who witnessed a later tree witnessed all that it continues.
            later = [given] if given is not None and own is not None and own.size >= self.found.size else []
            _accept([note, *later], held.policy, trusted)
        return own

    def _compare(self, given: Checkpoint, held: Held, enclosed: Consistency | None) -> None:
        sizes = sorted((given.size, self.found.size))
        if sizes[0] == sizes[1]:
            _same(self.found.root, given)
            return
        if sizes[0] == 0:
            return
        proofs = [enclosed, None if held.consistency is None else Consistency.parse(held.consistency)]
        for proof in proofs:
            if proof is not None and [proof.old, proof.new] == sizes:
                self._consistent(given, proof)
                return
        if given.size > self.found.size:
            raise NotVerifiable(self._advice(given))
        self.wants = given.size

    def _consistent(self, given: Checkpoint, proof: Consistency) -> None:
        old, new = sorted((given, self.found), key=lambda one: one.size)
        try:
            verify_consistency(old.size, new.size, old.root, new.root, proof.hashes)
        except NotProven:
            raise Tampered(
                f"the log of the export at size {self.found.size} does not continue the checkpoint of size {given.size}"
                if given is old
                else f"the checkpoint of size {given.size} does not continue the log of the export"
            ) from None

    def connect(self, root: bytes | None) -> None:
        """The root that the rows have at the size of the checkpoint that the reader has; None when they do not reach.

        Raises Tampered, NotVerifiable.
        """
        given = self._given
        if given is None:
            return
        if root is None:
            raise NotVerifiable(self._advice(given))
        _same(root, given)

    def _advice(self, given: Checkpoint) -> str:
        old, new = sorted((given.size, self.found.size))
        return (
            f"no proof connects the checkpoint of size {given.size} with the export's of size {self.found.size}; get one "
            f"from GET /audit/consistency?old={old}&new={new} and give it with --consistency"
        )


def _same(root: bytes, given: Checkpoint) -> None:
    if root != given.root:
        raise Tampered(f"two histories: the checkpoint of size {given.size} has another root than the export's log")


def _accept(notes: Sequence[Note], policy: Policy, logs: Sequence[VerifierKey]) -> None:
    """One of the notes at least satisfies the policy. Raises QuorumMissed, NotSigned, MalformedProof, BadSignature."""
    missed: QuorumMissed | NotSigned | None = None
    for note in notes:
        try:
            policy.accept(note, logs)
            return
        except (QuorumMissed, NotSigned) as error:
            missed = error
    assert missed is not None, "there is a note"
    raise missed


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise MalformedProof("a rotation is not Unicode text") from None
