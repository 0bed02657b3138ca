"""The small texts inside proofs, read strictly: each value has exactly one spelling."""

from __future__ import annotations

import base64
import re

from eventstore.proof.errors import MalformedProof

HASH_BYTES = 32
LARGEST = (1 << 63) - 1
"""The largest tree size and index that is read; PostgreSQL's bigint and every known log end there too."""

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)


def decimal(text: str, what: str) -> int:
    """An ASCII decimal without sign and leading zeroes, at most 2^63 - 1. Raises MalformedProof."""
    if _DECIMAL.fullmatch(text) is None or int(text) > LARGEST:
        raise MalformedProof(f"{what} is not a decimal number of the proper form")
    return int(text)


def binary(text: str, what: str) -> bytes:
    """Padded base64 (RFC 4648, section 4) in its one canonical spelling. Raises MalformedProof."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        raise MalformedProof(f"{what} is not base64") from None
    if base64.b64encode(data).decode() != text:  # set bits after the end, or a foreign character that was dropped
        raise MalformedProof(f"{what} is not canonical base64")
    return data


def hash_value(text: str, what: str) -> bytes:
    """The 32 bytes of a hash in base64. Raises MalformedProof."""
    data = binary(text, what)
    if len(data) != HASH_BYTES:
        raise MalformedProof(f"{what} has {len(data)} bytes, not {HASH_BYTES}")
    return data


def base64_text(data: bytes) -> str:
    """Padded base64."""
    return base64.b64encode(data).decode()


def utf8(data: bytes, what: str) -> str:
    """The text of strict UTF-8. Raises MalformedProof."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise MalformedProof(f"{what} is not UTF-8") from None
