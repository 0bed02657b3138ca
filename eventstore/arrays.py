"""PostgreSQL binary parameters: scalars and one-dimensional arrays (array_send in the server's sources).

A bulk statement takes its rows as one array per column. Building them here costs a fraction of adapting Python lists
element by element, which was a third of the writer's time.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

FEW = 8
"""Of fewer elements each is written by itself: a lone command's batch is mostly arrays of one."""

_NULL = b"\xff\xff\xff\xff"


class _Lengths(dict[int, bytes]):
    """An element's length as it stands before it; those of short elements are ready."""

    def __missing__(self, length: int) -> bytes:
        return struct.pack(">i", length)


_LENGTHS = _Lengths({n: struct.pack(">i", n) for n in range(2048)})
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


def _array(element: str, number: int, elements: bytes | bytearray) -> bytes:
    return b"".join((_HEADERS[element], struct.pack(">ii", number, 1), elements))


def _element(value: bytes | None) -> bytes:
    return _NULL if value is None else _LENGTHS[len(value)] + value


def _elements_of_width(width: int, together: bytes) -> bytes | bytearray:
    """Elements that all have `width` bytes, each behind its length: written byte column by byte column, so that the
    number of steps does not depend on the number of elements; of a few, element by element."""
    number = len(together) // width
    if number < FEW:
        length = _LENGTHS[width]
        return b"".join([length + together[at : at + width] for at in range(0, len(together), width)])
    stride = width + 4
    elements = bytearray(stride * number)
    elements[3::stride] = bytes((width,)) * number
    for at in range(width):
        elements[4 + at :: stride] = together[at::width]
    return elements


def varlena_array(element: str, values: Sequence[bytes | None]) -> bytes:
    """An array of text, bytea or json elements."""
    if None in values:
        return _array(element, len(values), b"".join([_element(value) for value in values]))
    parts = [part for value in values for part in (_LENGTHS[len(value)], value)]  # type: ignore[arg-type]  # no None
    return _array(element, len(values), b"".join(parts))  # type: ignore[arg-type]  # no None among them


def streamed_array(element: str, values: Iterable[bytes | None]) -> bytes:
    """An array of text, bytea or json elements, each copied as soon as it comes: none is kept."""
    number, elements = 0, bytearray()
    for value in values:
        number += 1
        elements += _element(value)
    return _array(element, number, elements)


def text_array(values: Sequence[str | None]) -> bytes:
    """An array of text. Columns repeat few values or hold short ones: each different text is encoded once."""
    different = set(values)
    if len(different) * 4 > len(values) and None not in different:
        return varlena_array("text", [value.encode() for value in values])  # type: ignore[union-attr]  # no None
    elements = {value: _element(None if value is None else value.encode()) for value in different}
    if len(elements) == 1:
        return _array("text", len(values), elements[values[0]] * len(values))
    return _array("text", len(values), b"".join([elements[value] for value in values]))


def uuid_array(values: Sequence[str | None]) -> bytes:
    """An array of uuid, from their texts."""
    if None not in values:
        together = bytes.fromhex("".join(values).replace("-", ""))  # type: ignore[arg-type]  # no None among them
        return _array("uuid", len(values), _elements_of_width(16, together))
    known = [value for value in values if value is not None]
    if not known:
        return _array("uuid", len(values), _NULL * len(values))
    together = bytes(_elements_of_width(16, bytes.fromhex("".join(known).replace("-", ""))))
    elements = iter([together[at : at + 20] for at in range(0, len(together), 20)])
    return _array("uuid", len(values), b"".join([_NULL if value is None else next(elements) for value in values]))


def int8_array(values: Sequence[int | None]) -> bytes:
    """An array of bigint (cast to a narrower type in the statement where a column is narrower)."""
    if None in values:
        pack = struct.Struct(">q").pack
        return _array("int8", len(values), b"".join([_element(None if v is None else pack(v)) for v in values]))
    return _array("int8", len(values), _int8_elements(values))  # type: ignore[arg-type]  # no None among them


def _int8_elements(values: Iterable[int]) -> bytes | bytearray:
    together = array("q", values)
    if sys.byteorder == "little":
        together.byteswap()
    return _elements_of_width(8, together.tobytes())


def timestamptz_array(values: Sequence[datetime | None]) -> bytes:
    """An array of instants. A batch of the writer repeats a few of them: each object is converted once."""
    objects = {id(value): value for value in values}  # hashing an instant costs more than converting it
    if len(objects) * 2 > len(values) and None not in values:
        microseconds = [(value - _POSTGRES_EPOCH) // _MICROSECOND for value in values]  # type: ignore[operator]
        return _array("timestamptz", len(values), _int8_elements(microseconds))
    elements = {key: _element(None if value is None else timestamptz(value)) for key, value in objects.items()}
    return _array("timestamptz", len(values), b"".join([elements[id(value)] for value in values]))
