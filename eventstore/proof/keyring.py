"""A log's signing keys in files: the newest signs, older ones stay for what they signed."""

from __future__ import annotations

import os
import re
from pathlib import Path

from eventstore.durable import create_durably
from eventstore.proof.errors import ProofError
from eventstore.proof.keys import KEY_BYTES, Kind, VerifierKey
from eventstore.proof.note import Note
from eventstore.proof.rotation import followed, rotation
from eventstore.proof.signing_keys import SigningKey
from eventstore.vault.keys import KeyUnavailable

_KEY = re.compile(r"key-([1-9][0-9]{0,5})", re.ASCII)


class Keyring:
    """A folder with `key-<n>` (0600, one signing key) and, from the second on, `rotation-<n>`, which both keys signed.

    A key without its rotation was never used: the process that made it died between the two files.
    """

    def __init__(self, folder: Path, name: str, keys: list[SigningKey], rotations: list[Note]) -> None:
        self._folder = folder
        self._name = name
        self._keys = keys
        self.rotations = rotations
        """The statements of old and new keys, in order: what an auditor follows from the key that it trusts."""

    @classmethod
    def open(cls, folder: Path, name: str, *, create: bool) -> Keyring:
        """Read the keys of the log called `name`; make the first when there is none and `create`. Raises KeyUnavailable."""
        try:
            if create and not (folder / "key-1").exists():
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                _make(folder / "key-1", name)
            numbers = sorted(int(found[1]) for path in folder.glob("key-*") if (found := _KEY.fullmatch(path.name)))
            if not numbers:
                raise KeyUnavailable(f"no signing key in {folder}; restore the state folder (FIDELOG_STATE_DIR)")
            used = [n for n in numbers if n == 1 or (folder / f"rotation-{n}").exists()]
            keys = [_read(folder / f"key-{number}", name) for number in used]
            rotations = [Note.parse((folder / f"rotation-{number}").read_bytes()) for number in used if number > 1]
            _check(folder, used, keys, rotations)
        except OSError as error:
            raise KeyUnavailable(f"the signing keys in {folder} cannot be used: {error.strerror}") from error
        except ProofError as error:
            raise KeyUnavailable(f"the signing keys in {folder} do not follow each other: {error}") from error
        return cls(folder, name, keys, rotations)

    @property
    def signer(self) -> SigningKey:
        """The key that signs."""
        return self._keys[-1]

    @property
    def verifiers(self) -> list[VerifierKey]:
        """All keys that ever signed, the newest last."""
        return [key.verifier for key in self._keys]

    def rotate(self) -> Note:
        """A new key signs from now on; gives the statement of both.

        Raises KeyUnavailable when another process did so first, and OSError; then the old key still signs.
        """
        number = len(self._keys) + 1
        path = self._folder / f"key-{number}"
        if not path.exists():
            _make(path, self._name)
        new = _read(path, self._name)
        note = rotation(self.signer, new)
        if not create_durably(self._folder / f"rotation-{number}", note.data):
            raise KeyUnavailable(f"another process rotated the signing key in {self._folder}; read the keys again")
        self._keys.append(new)
        self.rotations.append(note)
        return note


def _make(path: Path, name: str) -> None:
    create_durably(path, f"{SigningKey(name, Kind.LOG, os.urandom(KEY_BYTES)).secret_text}\n".encode())


def _read(path: Path, name: str) -> SigningKey:
    if path.stat().st_mode & 0o077:
        raise KeyUnavailable(f"{path} can be read by others; make it 0600, and rotate the key if it was read")
    key = SigningKey.parse(path.read_bytes().decode("ascii", errors="replace").strip())
    if key.verifier.name != name or key.verifier.kind is not Kind.LOG:
        raise KeyUnavailable(f"{path} is not a signing key of {name}")
    return key


def _check(folder: Path, numbers: list[int], keys: list[SigningKey], rotations: list[Note]) -> None:
    """No key is missing, and each rotation is from the key before to the next."""
    if numbers != list(range(1, len(numbers) + 1)):
        raise KeyUnavailable(f"of the signing keys in {folder} some are missing; restore the state folder")
    if followed(keys[0].verifier, rotations) != [key.verifier for key in keys]:
        raise KeyUnavailable(f"the rotations in {folder} are of other keys; restore the state folder")
