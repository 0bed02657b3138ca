"""Bytes made in a quicker way are those of the plain way."""

from __future__ import annotations

import hashlib
import struct

import pytest

from eventstore import arrays
from eventstore.vault.keys import IDEMPOTENCY, KeyedHash, keyed_hash

HEADER = 20
"""Bytes of an array before its elements."""


def test_a_hash_begun_once_is_the_hash_of_each_message() -> None:
    """However many were hashed before it."""
    key = bytes(range(32))
    begun = KeyedHash(key, IDEMPOTENCY)
    for message in (b"user:local\ncaller\nk1", b"", b"x" * 1000, b"user:local\ncaller\nk1"):
        whole = hashlib.blake2b(message, key=key, digest_size=32, person=b"idempotency key").digest()
        assert begun(message) == keyed_hash(key, IDEMPOTENCY, message) == whole[:16]


@pytest.mark.parametrize("number", [1, arrays.FEW - 1, arrays.FEW, 100])
def test_arrays_of_few_and_of_many_are_written_alike(number: int) -> None:
    """Each element behind its length."""
    expected = b"".join(struct.pack(">iq", 8, 1000 + n) for n in range(number))
    assert arrays.int8_array([1000 + n for n in range(number)])[HEADER:] == expected
    ids = [f"{n:08x}-0000-4000-8000-0000000000ff" for n in range(number)]
    expected = b"".join(b"\0\0\0\x10" + bytes.fromhex(one.replace("-", "")) for one in ids)
    assert arrays.uuid_array(ids)[HEADER:] == expected
