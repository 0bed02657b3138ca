"""PostgreSQL binary parameters: scalars and one-dimensional arrays (array_send in the server's sources).

A bulk statement takes its rows as one array per column. Building them here costs a fraction of adapting Python lists
element by element, which was a third of the writer's time.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

_NULL = b"\xff\xff\xff\xff"
_LENGTHS = [struct.pack(">i", n) for n in range(4096)]
_UUID = _LENGTHS[16]
_INT8 = _LENGTHS[8]
_OID = {"int8": 20, "int2": 21, "int4": 23, "text": 25, "bytea": 17, "json": 114, "uuid": 2950, "timestamptz": 1184}
_HEADERS = {name: struct.pack(">iiI", 1, 1, oid) for name, oid in _OID.items()}
_POSTGRES_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def int8(value: int) -> bytes:
    """A bigint."""
    return struct.pack(">q", value)


def timestamptz(value: datetime) -> bytes:
    """An instant: microseconds since 2000-01-01 UTC."""
    return struct.pack(">q", (value - _POSTGRES_EPOCH) // _MICROSECOND)


def _array(element: str, number: int, parts: Iterable[bytes]) -> bytes:
    return b"".join((_HEADERS[element], struct.pack(">ii", number, 1), *parts))


def varlena_array(element: str, values: Sequence[bytes | None]) -> bytes:
    """An array of text, bytea or json elements."""
    parts: list[bytes] = []
    add = parts.append
    for value in values:
        if value is None:
            add(_NULL)
            continue
        length = len(value)
        add(_LENGTHS[length] if length < 4096 else struct.pack(">i", length))
        add(value)
    return _array(element, len(values), parts)


def text_array(values: Sequence[str | None]) -> bytes:
    """An array of text."""
    return varlena_array("text", [None if v is None else v.encode() for v in values])


def uuid_array(values: Sequence[str | None]) -> bytes:
    """An array of uuid, from their texts."""
    parts = [_NULL if v is None else _UUID + bytes.fromhex(v.replace("-", "")) for v in values]
    return _array("uuid", len(values), parts)


def int8_array(values: Sequence[int | None]) -> bytes:
    """An array of bigint (cast to a narrower type in the statement where a column is narrower)."""
    pack = struct.Struct(">q").pack
    return _array("int8", len(values), [_NULL if v is None else _INT8 + pack(v) for v in values])


def timestamptz_array(values: Sequence[datetime | None]) -> bytes:
    """An array of instants."""
    return _array("timestamptz", len(values), [_NULL if v is None else _INT8 + timestamptz(v) for v in values])
