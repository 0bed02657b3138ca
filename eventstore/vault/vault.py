"""Sealing and opening personal values (AES-256-GCM, NIST SP 800-38D) and the keyed hashes of idempotency."""

from __future__ import annotations

import base64
from binascii import b2a_base64
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidTag

from eventstore.ids import RandomIds, Randomness
from eventstore.vault.keys import (
    CREDENTIAL,
    DATA_KEY_BYTES,
    FINGERPRINT,
    IDEMPOTENCY,
    KEY_BYTES,
    NONCE_BYTES,
    REQUEST,
    DataKey,
    KeyedHash,
    KeyUnavailable,
    MasterKeys,
)

Sealed = dict[str, str]
"""A sealed value as it stands in events and read models: {"fingerprint", "key", "sealed"}."""

CACHED_KEYS = 20_000
TENANT_KEY = "hashes"
"""In place of the key id of a tenant's key, which is nobody's."""

random_bytes = Randomness()


class KeyRow(NamedTuple):
    """A row of client_keys; `wrapped` is None in a tombstone."""

    subject: str
    key_id: str
    epoch: int
    wrapped: bytes | None


class Vault:
    """Data keys of one deployment's subjects, and what is done with them."""

    def __init__(self, masters: MasterKeys) -> None:
        self._masters = masters
        # Not a plain dict: to find its oldest entry it walks over all that were removed since it last grew.
        self._cache: OrderedDict[tuple[str, str], DataKey] = OrderedDict()
        self._tenants: dict[str, tuple[KeyedHash, KeyedHash, KeyedHash]] = {}
        self._ids = RandomIds()

    def key_for_sealing(self, tenant_id: str, subject: str) -> DataKey:
        """The subject's key as this process last knew it, or a fresh one.

        A guess: the batch checks under the lock that the key is the living one and has the values sealed again if not.
        """
        key = self._cache.get((tenant_id, subject))
        if key is None:
            key_id, drawn = self._ids(), random_bytes(DATA_KEY_BYTES + NONCE_BYTES)
            secret, nonce = drawn[:DATA_KEY_BYTES], drawn[DATA_KEY_BYTES:]
            wrapped = self._masters.wrap(secret, _name(tenant_id, subject, key_id), nonce)
            key = DataKey(key_id, secret, self._masters.current, wrapped)
            self._remember(tenant_id, subject, key)
        return key

    def key_of(self, tenant_id: str, row: KeyRow) -> DataKey | None:
        """The key in a row just read, None for a tombstone. Raises KeyUnavailable."""
        if row.wrapped is None:
            self._cache.pop((tenant_id, row.subject), None)
            return None
        known = self._cache.get((tenant_id, row.subject))
        if known is not None and known.key_id == row.key_id:
            return known
        secret = self._masters.unwrap(row.wrapped, row.epoch, _name(tenant_id, row.subject, row.key_id))
        key = DataKey(row.key_id, secret, row.epoch, row.wrapped)
        self._remember(tenant_id, row.subject, key)
        return key

    @property
    def epoch(self) -> int:
        """The epoch of master keys in use."""
        return self._masters.current

    def refresh(self) -> None:
        """Follow what other processes did to the master keys."""
        self._masters.refresh()

    def forget(self, tenant_id: str, subject: str) -> None:
        """The subject was erased: no key of theirs stays in memory."""
        self._cache.pop((tenant_id, subject), None)

    def wrap_anew(self, tenant_id: str, keys: Mapping[str, DataKey]) -> None:
        """Keys about to be stored, by subject, are wrapped under the epoch that this process knows last. One that another
        process began since is found by the database, which refuses the earlier; then `refresh`, and again."""
        for subject, key in keys.items():
            if key.epoch != self._masters.current:
                key.wrap_anew(self._masters, _name(tenant_id, subject, key.key_id), random_bytes(NONCE_BYTES))

    def fresh_ids(self, number: int) -> list[str]:
        """So many ids for keys."""
        return [self._ids() for _ in range(number)]

    def _remember(self, tenant_id: str, subject: str, key: DataKey) -> None:
        cache = self._cache
        cache[tenant_id, subject] = key
        if len(cache) > CACHED_KEYS:
            cache.popitem(last=False)

    def new_tenant_key(self, tenant_id: str) -> tuple[int, bytes]:
        """A tenant's key of keyed hashes, to be stored: (epoch, wrapped)."""
        name = _name(tenant_id, "", TENANT_KEY)
        return self._masters.current, self._masters.wrap(random_bytes(KEY_BYTES), name, random_bytes(NONCE_BYTES))

    def open_tenant(self, tenant_id: str, epoch: int, wrapped: bytes) -> None:
        """Take the tenant's key into use. Raises KeyUnavailable."""
        key = self._masters.unwrap(wrapped, epoch, _name(tenant_id, "", TENANT_KEY))
        self._tenants[tenant_id] = KeyedHash(key, IDEMPOTENCY), KeyedHash(key, REQUEST), KeyedHash(key, CREDENTIAL)

    def idempotency_key(self, tenant_id: str, principal: str, kind: str, key: str) -> bytes:
        """How a command is recognised: a keyed hash of principal, kind (caller, internal or import) and key."""
        return self._tenants[tenant_id][0](f"{principal}\n{kind}\n{key}".encode())

    def request_hash(self, tenant_id: str, request: bytes) -> bytes:
        """The keyed hash of a request that is about no one person."""
        return self._tenants[tenant_id][1](request)

    def credential_hash(self, tenant_id: str, credential: str) -> bytes:
        """How a credential is stored: a keyed hash, which says nothing without the state folder."""
        return self._tenants[tenant_id][2](credential.encode())


def seal(key: DataKey, tenant_id: str, field: str, value: bytes) -> Sealed:
    """`value` encrypted under `key`, bound to tenant, field and key, with a keyed fingerprint of its plaintext.

    The fingerprint (a keyed hash, hex) lets the domain see "changed or not" without the plaintext.
    """
    nonce = random_bytes(NONCE_BYTES)
    box = key.cipher.encrypt(nonce, value, _bound(tenant_id, field, key.key_id))
    return {
        "fingerprint": key.hash(FINGERPRINT, field.encode() + b"\n" + value).hex(),
        "key": key.key_id,
        "sealed": b2a_base64(nonce + box, newline=False).decode("ascii"),
    }


def unseal(key: DataKey, tenant_id: str, field: str, sealed: dict[str, Any]) -> bytes:
    """The value in `sealed`. Raises KeyUnavailable when it is not a value of this tenant, field and key."""
    try:
        box = base64.b64decode(sealed["sealed"], validate=True)
        return key.cipher.decrypt(box[:NONCE_BYTES], box[NONCE_BYTES:], _bound(tenant_id, field, sealed["key"]))
    except (InvalidTag, ValueError, KeyError, TypeError):
        raise KeyUnavailable(f"a sealed {field} does not open under key {key.key_id}") from None


def rewrapped(masters: MasterKeys, tenant_id: str, subject: str, key_id: str, epoch: int, wrapped: bytes) -> bytes:
    """A wrapped key under the epoch in use. Raises KeyUnavailable."""
    name = _name(tenant_id, subject, key_id)
    return masters.wrap(masters.unwrap(wrapped, epoch, name), name, random_bytes(NONCE_BYTES))


def _bound(tenant_id: str, field: str, key_id: str) -> bytes:
    return f"{tenant_id}\n{field}\n{key_id}".encode()


def _name(tenant_id: str, subject: str, key_id: str) -> bytes:
    return f"{tenant_id}\n{subject}\n{key_id}".encode()
