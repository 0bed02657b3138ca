"""The last checkpoint that a log signed: one file outside of the database, so that no restore takes it back.

A log must never sign two histories. The sealer therefore writes here, durably, before anybody can see a signature; and
it signs nothing that does not continue what stands here.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from eventstore.durable import remove_drafts, write_durably
from eventstore.proof.checkpoint import Checkpoint
from eventstore.proof.errors import MalformedProof, NotProven, SigningRefused
from eventstore.proof.merkle import verify_consistency
from eventstore.proof.note import Note

_FILE = "last-checkpoint"
_LOCK = "lock"


class SignedState:
    """What a log signed last: a folder for each origin, with the checkpoint as it was signed, and a lock."""

    def __init__(self, folder: Path, origin: str) -> None:
        self._folder = folder
        self._path = folder / _FILE
        self._origin = origin

    def latest(self) -> Note | None:
        """The last checkpoint, None when there is none. Raises SigningRefused when there is something else."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SigningRefused(f"{self._path} cannot be read: {error.strerror}") from error
        try:
            note = Note.parse(data)
            self._own(note)
        except MalformedProof as error:
            raise SigningRefused(
                f"{self._path} is not the last checkpoint: {error}; restore the state folder, or move the file "
                "away and adopt a checkpoint that a witness holds"
            ) from None
        return note

    def begin(self, note: Note) -> None:
        """Write the first checkpoint. The caller has made sure that the database holds none, or that this one is a
        witness's: this file cannot know. Raises SigningRefused, OSError."""
        new = self._own(note)
        with self._alone():
            if self.latest() is not None:
                raise SigningRefused(f"{self._origin} has signed a checkpoint already")
            try:
                new.check_empty()
            except MalformedProof as error:
                raise SigningRefused(str(error)) from None
            write_durably(self._path, note.data)

    def advance(self, old_size: int, note: Note, proof: Sequence[bytes]) -> None:
        """Write a checkpoint in place of the last one, which must have `old_size`; `proof` shows that it continues it,
        and is empty from size 0. The same size may be signed again, with the same root.

        It is on the disk when this returns; only then may the checkpoint be shown. Raises SigningRefused, OSError.
        """
        new = self._own(note)
        with self._alone():
            latest = self.latest()
            if latest is None:
                raise SigningRefused(f"there is no last checkpoint of {self._origin} in {self._folder}")
            old = Checkpoint.parse(latest.text)
            if old.size != old_size:  # somebody else signed meanwhile: a second sealer, or this one before it died
                raise SigningRefused(f"the last checkpoint has size {old.size}, not {old_size}")
            _check_continues(old, new, proof)
            write_durably(self._path, note.data)

    def _own(self, note: Note) -> Checkpoint:
        """The checkpoint in a note of this log."""
        found = Checkpoint.parse(note.text)
        if found.origin != self._origin:
            raise SigningRefused(f"a checkpoint of {found.origin}, not of {self._origin}")
        return found

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One at a time reads, compares and writes, whatever process it is in. The lock ends with the process."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            remove_drafts(self._path)
            yield
        finally:
            os.close(descriptor)


def _check_continues(old: Checkpoint, new: Checkpoint, proof: Sequence[bytes]) -> None:
    """The new tree is the old one or continues it. Raises SigningRefused."""
    if new.size < old.size:
        raise SigningRefused(
            f"size {old.size} was signed and the log now ends at {new.size}: events that were signed are gone"
        )
    try:
        new.check_empty()
        if old.size:
            verify_consistency(old.size, new.size, old.root, new.root, proof)
    except (MalformedProof, NotProven) as error:
        raise SigningRefused(f"the log does not continue what was signed at size {old.size}: {error}") from None
