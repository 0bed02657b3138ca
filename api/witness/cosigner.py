"""What a witness keeps: its key, and of each log the checkpoint that it cosigned last; and how it comes to the next."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from api.settings import SettingsError
from eventstore.durable import create_durably
from eventstore.proof.checkpoint import Checkpoint
from eventstore.proof.errors import MalformedProof, SigningRefused
from eventstore.proof.keys import KEY_BYTES, Kind, VerifierKey
from eventstore.proof.note import Note, parse_lines
from eventstore.proof.signed_state import SignedState
from eventstore.proof.signing_keys import SigningKey
from eventstore.proof.witness_exchange import AddCheckpoint, Answer, answer

log = logging.getLogger(__name__)

ATTEMPTS = 3
"""Others can come between at most twice: one that begins with an empty tree, one that makes it grow. After that a request's
old size is not the stored one any more, and its answer stores nothing."""


class Cosigner:
    """A folder with `key` (0600) and, in `logs/<SHA-256 of the origin>/`, the last checkpoint of each log.

    Any number of threads and processes may share it: each checkpoint is stored only in place of the one that it was
    compared with. All calls block.
    """

    def __init__(self, folder: Path, signer: SigningKey, logs: Mapping[str, Sequence[VerifierKey]]) -> None:
        """Raises SettingsError when what was cosigned cannot be read: nothing is cosigned then."""
        self.logs = logs
        self._signer = signer
        self._states = {origin: SignedState(folder / "logs" / hash_of(origin), origin) for origin in logs}
        self._origins = {hash_of(origin): origin for origin in logs}
        self._told: str | None = None
        for origin, state in self._states.items():
            try:
                state.latest()
            except SigningRefused:
                raise SettingsError(
                    f"{folder / 'logs' / hash_of(origin)} does not hold the last checkpoint of {origin}. A witness that has "
                    "forgotten what it cosigned must not go on under its key: begin with an empty folder and a new key"
                ) from None

    @property
    def verifier(self) -> VerifierKey:
        """The public half of the witness's key."""
        return self._signer.verifier

    def add_checkpoint(self, body: bytes, time: int) -> Answer:
        """Answer a request at `time`, in seconds since 1970. What it cosigns is on the disk when this returns.

        Raises SigningRefused when what was cosigned cannot be read, OSError when it cannot be written.
        """
        for _ in range(ATTEMPTS):
            answered = answer(body, self.logs, self._latest, [self._signer], time)
            if answered.status == 422:
                self._tell(body)
            if answered.store is None or self._kept(AddCheckpoint.parse(body), answered):
                return answered
        raise SigningRefused("the last checkpoint changes faster than it can be compared")

    def checkpoint(self, origin_hash: str) -> bytes | None:
        """The checkpoint cosigned last for the log of that origin, given as the SHA-256 in lower-case hex, with the log's
        signatures and the witness's."""
        origin = self._origins.get(origin_hash)
        note = None if origin is None else self._states[origin].latest()
        return None if note is None else note.data

    def _latest(self, origin: str) -> Checkpoint | None:
        note = self._states[origin].latest()
        return None if note is None else Checkpoint.parse(note.text)

    def _kept(self, request: AddCheckpoint, answered: Answer) -> bool:
        """Store the checkpoint, with the lines that are known here: whoever sends it can add any others. False when
        another request came between."""
        origin = Checkpoint.parse(request.note.text).origin
        known = {(key.name, key.id) for key in self.logs[origin]}
        signed = [line for line in request.note.lines if (line.name, line.key_id) in known]
        note = Note(request.note.text, (*signed, *parse_lines(answered.body.decode())))
        state = self._states[origin]
        try:
            if state.latest() is None:
                state.begin(note)
            else:
                state.advance(request.old, note, request.proof)
        except SigningRefused:
            return False
        return True

    def _tell(self, body: bytes) -> None:
        """A log signed something that was not shown to continue what was cosigned: it may be the proof of two histories,
        which nobody else has. The text is public and signed; the same one is told once in a row."""
        note = AddCheckpoint.parse(body).note
        if note.text != self._told:
            self._told = note.text
            log.warning(
                "the log signed a checkpoint that is not shown to continue the cosigned one: %s", note.data.decode()
            )


def hash_of(origin: str) -> str:
    """What names a log in paths."""
    return hashlib.sha256(origin.encode()).hexdigest()


def open_key(folder: Path, name: str | None) -> SigningKey:
    """The witness's key; made when there is none and nothing was ever cosigned. Raises SettingsError."""
    path = folder / "key"
    try:
        if not path.exists():
            _make(path, folder, name)
        if path.stat().st_mode & 0o077:
            raise SettingsError(f"{path} can be read by others; make it 0600, or begin anew if it was read")
        key = SigningKey.parse(path.read_bytes().decode("ascii", errors="replace").strip())
    except OSError as error:
        raise SettingsError(f"the witness's key in {folder} cannot be used: {error.strerror}") from error
    except MalformedProof as error:
        raise SettingsError(f"{path} is not a witness's key: {error}; restore the folder") from None
    if key.verifier.kind is not Kind.COSIGNER:
        raise SettingsError(f"{path} is a log's key; a witness has one of its own")
    if name is not None and key.verifier.name != name:
        raise SettingsError(f"the key in {folder} is called {key.verifier.name}; leave FIDELOG_WITNESS_NAME out, or begin "
                            "with an empty folder")  # fmt: skip
    return key


def _make(path: Path, folder: Path, name: str | None) -> None:
    if (folder / "logs").exists():
        raise SettingsError(
            f"{folder} has no key, though a witness worked there; restore it, or begin with an empty folder"
        )
    if name is None:
        raise SettingsError(
            "a new witness needs a name for its key: FIDELOG_WITNESS_NAME, such as witness.example/audit"
        )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    create_durably(path, f"{SigningKey(name, Kind.COSIGNER, os.urandom(KEY_BYTES)).secret_text}\n".encode())
