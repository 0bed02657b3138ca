"""Keys: master keys by epoch (files outside the database), data keys of subjects, the tenant's key of keyed hashes."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from eventstore.durable import create_durably

KEY_BYTES = 32
DATA_KEY_BYTES = 64
"""An encryption key and a hashing key, drawn independently and wrapped as one."""
NONCE_BYTES = 12
HASH_BYTES = 16
USES_OF_A_FIRST_WRITE = 2
FORGOTTEN_AFTER_SECONDS = 10.0
"""Longer than any reading takes."""

IDEMPOTENCY, REQUEST, FINGERPRINT, CREDENTIAL = b"idempotency key", b"request hash", b"fingerprint", b"credential"
"""The purposes of keyed hashes: one key never hashes for two of them alike."""


class KeyUnavailable(Exception):
    """A master key is missing or not the right one; the message says which and what to do."""


class MasterKeys:
    """The master keys of a state folder: one 0600 file `master-keys/epoch-<n>` of 64 hex digits per epoch.

    Other processes may begin an epoch and end the ones before it at any time; `refresh` follows them.
    """

    def __init__(self, folder: Path, keys: dict[int, bytes], clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._ciphers = {epoch: AESGCM(key) for epoch, key in keys.items()}
        self._clock = clock
        self._ended: dict[int, float] = {}
        self.current = max(keys)
        """The epoch under which keys are wrapped: the latest."""

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

    @property
    def epochs(self) -> frozenset[int]:
        """The epochs whose keys there are."""
        return frozenset(self._ciphers)

    def refresh(self) -> None:
        """Take up an epoch that began. One that ended is forgotten some seconds later: a reading under way may hold a row
        that was wrapped under it. A folder that cannot be read now changes nothing."""
        try:
            names = {path: _epoch(path) for path in self._folder.glob("epoch-*")}
            new = {epoch: _read(path) for path, epoch in names.items() if epoch not in self._ciphers}
        except (OSError, KeyUnavailable):
            return
        if not names:
            return
        self._ciphers |= {epoch: AESGCM(key) for epoch, key in new.items()}
        self.current = max(names.values())
        if len(names) < len(self._ciphers):
            self._forget(set(names.values()))

    def _forget(self, standing: set[int]) -> None:
        now = self._clock()
        for epoch in self._ciphers.keys() - standing:
            self._ended.setdefault(epoch, now)
        for epoch, since in tuple(self._ended.items()):
            if now - since > FORGOTTEN_AFTER_SECONDS:
                self._ciphers.pop(epoch, None)
                del self._ended[epoch]

    def wrap(self, key: bytes, name: bytes, nonce: bytes) -> bytes:
        """`key` under the current epoch's master key, bound to `name`: nonce ‖ ciphertext ‖ tag (AES-256-GCM).
        The nonce is random, 12 bytes, never used twice."""
        return nonce + self._ciphers[self.current].encrypt(nonce, key, name)

    def unwrap(self, wrapped: bytes, epoch: int, name: bytes) -> bytes:
        """The key in `wrapped`. Raises KeyUnavailable."""
        cipher = self._ciphers.get(epoch)
        if cipher is None:
            self.refresh()
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
    """Make epoch 1's key, on the disk before anything is encrypted under it. Of two processes one key wins."""
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    create_durably(folder / "epoch-1", f"{os.urandom(KEY_BYTES).hex()}\n".encode())


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

    def wrap_anew(self, masters: MasterKeys, name: bytes, nonce: bytes) -> None:
        """Wrapped under the epoch in use."""
        self.epoch, self.wrapped = masters.current, masters.wrap(self._secret, name, nonce)

    def hash(self, purpose: bytes, message: bytes) -> bytes:
        """A keyed hash under this key: 16 bytes."""
        return keyed_hash(self._secret[KEY_BYTES:], purpose, message)
