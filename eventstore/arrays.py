"""PostgreSQL binary parameters: scalars and one-dimensional arrays (array_send in the server's sources).

A bulk statement takes its rows as one array per column. Building them here costs a fraction of adapting Python lists
element by element, which was a third of the writer's time.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
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


def _array(element: str, number: int, elements: bytes) -> bytes:
    return _HEADERS[element] + struct.pack(">ii", number, 1) + elements


def _element(value: bytes | None) -> bytes:
    if value is None:
        return _NULL
    length = len(value)
    return (_LENGTHS[length] if length < 4096 else struct.pack(">i", length)) + value


def varlena_array(element: str, values: Sequence[bytes | None]) -> bytes:
    """An array of text, bytea or json elements."""
    try:
        elements = [_NULL if value is None else _LENGTHS[len(value)] + value for value in values]
    except IndexError:
        elements = [_element(value) for value in values]
    return _array(element, len(values), b"".join(elements))


def text_array(values: Sequence[str | None]) -> bytes:
    """An array of text. Columns repeat few values or hold short ones: each different text is encoded once."""
    elements = {value: _element(None if value is None else value.encode()) for value in set(values)}
    return _array("text", len(values), b"".join([elements[value] for value in values]))


def uuid_array(values: Sequence[str | None]) -> bytes:
    """An array of uuid, from their texts."""
    if None in values:
        parts = [_NULL if v is None else _UUID + bytes.fromhex(v.replace("-", "")) for v in values]
        return _array("uuid", len(values), b"".join(parts))
    together = bytes.fromhex("".join(values).replace("-", ""))  # type: ignore[arg-type]  # no None among them
    parts = [_UUID + together[at : at + 16] for at in range(0, len(together), 16)]
    return _array("uuid", len(values), b"".join(parts))


def int8_array(values: Sequence[int | None]) -> bytes:
    """An array of bigint (cast to a narrower type in the statement where a column is narrower)."""
    if None in values:
        pack = struct.Struct(">q").pack
        return _array("int8", len(values), b"".join([_NULL if v is None else _INT8 + pack(v) for v in values]))
    pairs = [part for value in values for part in (8, value)]
    return _array("int8", len(values), struct.pack(">" + "iq" * len(values), *pairs))


def timestamptz_array(values: Sequence[datetime | None]) -> bytes:
    """An array of instants. A batch of the writer repeats a few of them: each object is converted once."""
    elements = {id(value): value for value in values}  # hashing an instant costs more than converting it
    converted = {key: _NULL if value is None else _INT8 + timestamptz(value) for key, value in elements.items()}
    return _array("timestamptz", len(values), b"".join([converted[id(value)] for value in values]))
