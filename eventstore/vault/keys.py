"""Keys: master keys by epoch (files outside the database), data keys of subjects, the tenant's key of keyed hashes."""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
DATA_KEY_BYTES = 64
"""An encryption key and a hashing key, drawn independently and wrapped as one."""
NONCE_BYTES = 12
HASH_BYTES = 16
USES_OF_A_FIRST_WRITE = 2

IDEMPOTENCY, REQUEST, FINGERPRINT, CREDENTIAL = b"idempotency key", b"request hash", b"fingerprint", b"credential"
"""The purposes of keyed hashes: one key never hashes for two of them alike."""


class KeyUnavailable(Exception):
    """A master key is missing or not the right one; the message says which and what to do."""


class MasterKeys:
    """The master keys of a state folder: one 0600 file `master-keys/epoch-<n>` of 64 hex digits per epoch."""

    def __init__(self, folder: Path, keys: dict[int, bytes]) -> None:
        self._folder = folder
        self._ciphers = {epoch: AESGCM(key) for epoch, key in keys.items()}
        self.current = max(keys)

    @classmethod
    def open(cls, state_dir: Path, *, create: bool) -> MasterKeys:
        """Read the folder's keys; make the first epoch's when there is none and `create`. Raises KeyUnavailable."""
        folder = state_dir / "master-keys"
        try:
            if create and not any(folder.glob("epoch-*")):
                _make_first(folder)
            keys = {_epoch(path): _read(path) for path in folder.glob("epoch-*")}
        except OSError as error:
            raise KeyUnavailable(f"the state folder {state_dir} cannot be used: {error.strerror}") from error
        if not keys:
            raise KeyUnavailable(f"no master key in {folder}; restore the state folder (FIDELOG_STATE_DIR)")
        return cls(folder, keys)

    def wrap(self, key: bytes, name: bytes, nonce: bytes) -> bytes:
        """`key` under the current epoch's master key, bound to `name`: nonce ‖ ciphertext ‖ tag (AES-256-GCM).
        The nonce is random, 12 bytes, never used twice."""
        return nonce + self._ciphers[self.current].encrypt(nonce, key, name)

    def unwrap(self, wrapped: bytes, epoch: int, name: bytes) -> bytes:
        """The key in `wrapped`. Raises KeyUnavailable."""
        cipher = self._ciphers.get(epoch)
        if cipher is None:
            raise KeyUnavailable(
                f"the master key of epoch {epoch} is not in {self._folder}; restore the state folder "
                "(FIDELOG_STATE_DIR) that belongs to this database"
            )
        try:
            return cipher.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], name)
        except InvalidTag:
            raise KeyUnavailable(
                f"the master key of epoch {epoch} in {self._folder} is not this database's; restore the state "
                "folder (FIDELOG_STATE_DIR) that belongs to it"
            ) from None


def _make_first(folder: Path) -> None:
    """Make epoch 1's key. Written whole and linked into place, so that of two processes one key wins and none is
    ever seen half written."""
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    draft = folder / f".draft-{os.getpid()}-{os.urandom(4).hex()}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(os.urandom(KEY_BYTES).hex() + "\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another process was first; its key is read
            os.link(draft, folder / "epoch-1")
    finally:
        draft.unlink()
    _fsync_folder(folder)


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _epoch(path: Path) -> int:
    found = re.fullmatch(r"epoch-([1-9][0-9]{0,8})", path.name, re.ASCII)
    if found is None:
        raise KeyUnavailable(f"{path} is not a master key's file (epoch-<number>); move it elsewhere")
    return int(found[1])


def _read(path: Path) -> bytes:
    try:
        key = bytes.fromhex(path.read_bytes().decode("ascii").strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise KeyUnavailable(f"{path} is not a master key (64 hex digits); restore it from its backup")
    return key


def keyed_hash(key: bytes, purpose: bytes, message: bytes) -> bytes:
    """Keyed BLAKE2b (RFC 7693, section 2.9), the first 16 bytes of 32, for one purpose (at most 16 bytes, the
    personalisation).

    A MAC like HMAC-SHA-256, at a third of its cost for short messages, and why 16 bytes are enough:
    docs/adr/0006-keyed-blake2b.md.
    """
    return hashlib.blake2b(message, key=key, digest_size=32, person=purpose).digest()[:HASH_BYTES]


class KeyedHash:
    """`keyed_hash` under one key for one purpose, again and again: begun once and copied, at half the cost."""

    __slots__ = ("_begun",)

    def __init__(self, key: bytes, purpose: bytes) -> None:
        self._begun = hashlib.blake2b(key=key, digest_size=32, person=purpose)

    def __call__(self, message: bytes) -> bytes:
        begun = self._begun.copy()
        begun.update(message)
        return begun.digest()[:HASH_BYTES]


class DataKey:
    """One subject's key: 32 bytes that encrypt its personal values, 32 that key their fingerprints and hashes."""

    __slots__ = ("_cipher", "_secret", "_uses", "epoch", "key_id", "wrapped")

    def __init__(self, key_id: str, secret: bytes, epoch: int, wrapped: bytes) -> None:
        self.key_id = key_id
        self.epoch = epoch
        self.wrapped = wrapped
        self._secret = secret
        self._cipher: AESGCM | None = None
        self._uses = 0

    @property
    def cipher(self) -> AESGCM:
        """The cipher under this key. It holds kilobytes, and most keys in memory are those of a client's first write,
        which seals a value and opens it for the answer: it is kept from the third use on."""
        cipher = self._cipher
        if cipher is None:
            cipher = AESGCM(self._secret[:KEY_BYTES])
            self._uses += 1
            if self._uses > USES_OF_A_FIRST_WRITE:
                self._cipher = cipher
        return cipher

    def hash(self, purpose: bytes, message: bytes) -> bytes:
        """A keyed hash under this key: 16 bytes."""
        return keyed_hash(self._secret[KEY_BYTES:], purpose, message)
