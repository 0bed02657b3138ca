"""Checkpoints (c2sp.org/tlog-checkpoint): how large a log is and which root it has, said by the log."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from eventstore.proof.errors import MalformedProof, NotSigned
from eventstore.proof.keys import VerifierKey
from eventstore.proof.merkle import EMPTY_ROOT
from eventstore.proof.note import Note
from eventstore.proof.strict import base64_text, decimal, hash_value


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log says of itself."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()
    """Further lines of a log that has some; ours never does."""

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """From a note's text. Only its form is checked, not who signed it. Raises MalformedProof."""
        if not text.endswith("\n"):
            raise MalformedProof("the checkpoint's last line has no end")
        lines = text[:-1].split("\n")
        if len(lines) < 3 or not all(lines):
            raise MalformedProof("a checkpoint has three lines or more, none of them empty")
        origin, size, root, *extensions = lines
        return cls(origin, decimal(size, "the tree size"), hash_value(root, "the root"), tuple(extensions))

    @property
    def text(self) -> str:
        """The text that is signed."""
        return "".join(f"{line}\n" for line in (self.origin, self.size, base64_text(self.root), *self.extensions))

    def check_empty(self) -> None:
        """An empty tree has the one root of the empty tree. Raises MalformedProof."""
        if self.size == 0 and self.root != EMPTY_ROOT:
            raise MalformedProof("the root of an empty tree is not that of an empty tree")


def signed_checkpoint(note: Note, origin: str, log_keys: Iterable[VerifierKey]) -> Checkpoint:
    """The checkpoint in a note that the log with this origin signed with one of its keys.

    Raises MalformedProof, BadSignature and NotSigned, the last also when it is another log's checkpoint.
    """
    found = Checkpoint.parse(note.text)
    if found.origin != origin:
        raise NotSigned("the checkpoint is another log's")
    note.signers(log_keys)
    found.check_empty()
    return found
