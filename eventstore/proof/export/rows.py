"""The rows of an export: which positions it holds, and the hash of each leaf. One digest commits to all of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, NamedTuple

from eventstore.proof.errors import MalformedProof
from eventstore.proof.strict import base64_text, decimal, hash_value

_LONGEST = 128
"""Bytes; a line of rows.txt or nodes.txt is shorter."""

STREAM_CHARACTERS = 20_000
"""Heads of streams are named in ExportMade as long as their names have no more together, so that it fits a leaf."""


class Row(NamedTuple):
    """An exported event."""

    position: int
    hash: bytes

    @property
    def line(self) -> bytes:
        """As in rows.txt."""
        return f"{self.position} {base64_text(self.hash)}\n".encode()


def read_rows(file: IO[bytes]) -> Iterator[Row]:
    """The rows of rows.txt. Raises MalformedProof."""
    before = 0
    for line in _lines(file, "rows.txt"):
        position, _, hash_ = line.partition(" ")
        row = Row(decimal(position, "a position in rows.txt"), hash_value(hash_, "a hash in rows.txt"))
        if row.position <= before:
            raise MalformedProof("the positions in rows.txt do not ascend")
        before = row.position
        yield row


def read_nodes(file: IO[bytes]) -> Iterator[bytes]:
    """The hashes of nodes.txt. Raises MalformedProof."""
    for line in _lines(file, "nodes.txt"):
        yield hash_value(line, "a hash in nodes.txt")


def node_line(hash_: bytes) -> bytes:
    """As in nodes.txt."""
    return f"{base64_text(hash_)}\n".encode()


def _lines(file: IO[bytes], name: str) -> Iterator[str]:
    while line := file.readline(_LONGEST):
        if not line.endswith(b"\n") or not line.isascii():
            raise MalformedProof(f"a line in {name} is not of its form")
        yield line[:-1].decode("ascii")


class Heads:
    """The last version of each stream, as long as there are few enough streams to name."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}
        self._characters = 0

    def add(self, stream: str, version: int) -> None:
        """A further row."""
        if self._characters <= STREAM_CHARACTERS:
            if stream not in self._last:
                self._characters += len(stream)
            self._last[stream] = max(version, self._last.get(stream, 0))
            if self._characters > STREAM_CHARACTERS:
                self._last.clear()

    @property
    def named(self) -> list[list[str | int]] | None:
        """[stream, last version] by name; None when there are too many to name."""
        if self._characters > STREAM_CHARACTERS:
            return None
        return [[stream, self._last[stream]] for stream in sorted(self._last)]
