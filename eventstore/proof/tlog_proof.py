"""Proof files (c2sp.org/tlog-proof): that an entry is in a log, to be checked offline."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from eventstore.proof.errors import MalformedProof
from eventstore.proof.keys import VerifierKey
from eventstore.proof.merkle import verify_inclusion
from eventstore.proof.note import MOST_BYTES, Note
from eventstore.proof.policy import Accepted, Policy
from eventstore.proof.strict import base64_text, binary, decimal, hash_value, utf8

MOST_HASHES = 63
"""As many as a tree of 2^63 leaves needs."""
_FIRST = "c2sp.org/tlog-proof@v1"


@dataclass(frozen=True, slots=True)
class TlogProof:
    """Where the entry is, the siblings of its leaf from below, and a checkpoint, byte for byte as the log gave it."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes | None = None
    """Anything; nobody vouches for it."""

    @classmethod
    def parse(cls, data: bytes) -> TlogProof:
        """The parts of a file. The checkpoint is not looked at before `verify`. Raises MalformedProof."""
        if len(data) > 2 * MOST_BYTES:
            raise MalformedProof(f"the proof has {len(data)} bytes")
        head, separator, checkpoint = data.partition(b"\n\n")
        lines = utf8(head, "the proof").split("\n")
        if not separator or lines.pop(0) != _FIRST:
            raise MalformedProof(f"the proof does not begin with {_FIRST}, or has no checkpoint")
        extra = None
        if lines and lines[0].startswith("extra "):
            extra = binary(lines.pop(0).removeprefix("extra "), "the extra data")
        if not lines or not lines[0].startswith("index "):
            raise MalformedProof("the proof has no index")
        index = decimal(lines.pop(0).removeprefix("index "), "the index")
        if len(lines) > MOST_HASHES:
            raise MalformedProof(f"the proof has {len(lines)} hashes, {MOST_HASHES} at most")
        return cls(index, tuple(hash_value(line, "a hash of the proof") for line in lines), checkpoint, extra)

    @property
    def data(self) -> bytes:
        """The file's bytes."""
        extra = [] if self.extra is None else [f"extra {base64_text(self.extra)}"]
        lines = [_FIRST, *extra, f"index {self.index}", *map(base64_text, self.hashes), "\n"]
        return "\n".join(lines).encode() + self.checkpoint

    def verify(self, leaf: bytes, policy: Policy, logs: Iterable[VerifierKey] = ()) -> Accepted:
        """The leaf with this hash is in a log that the policy (or `logs`) believes, under a checkpoint that it accepts.

        Raises MalformedProof, BadSignature, NotSigned, QuorumMissed, NotProven.
        """
        accepted = policy.accept(Note.parse(self.checkpoint), logs)
        verify_inclusion(leaf, self.index, accepted.checkpoint.size, self.hashes, accepted.checkpoint.root)
        return accepted
