"""A ZIP archive written as a stream: what was written can be sent before the rest is known."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

_DATE = (1980, 1, 1, 0, 0, 0)
_SMALL = zipfile.ZIP64_LIMIT // 2
"""Bytes up to which the older form of an entry, which every program reads, is sure to do."""
_LEVEL = 3
"""Of compression: most content is ciphertext in base64, and more effort gains little."""


class Member:
    """A member that is being written; its size and digest so far."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hashed = hashlib.sha256()
        self._size = 0

    def write(self, data: bytes) -> None:
        """Add to it."""
        self._file.write(data)
        self._hashed.update(data)
        self._size += len(data)

    @property
    def described(self) -> tuple[int, str]:
        """Bytes and SHA-256."""
        return self._size, self._hashed.hexdigest()


class ArchiveStream:
    """Members are written one after the other; `taken` gives what can be sent. Until `close` it is no archive: its
    directory comes last, so nobody takes a part for the whole."""

    def __init__(self) -> None:
        self._sink = _Sink()
        self._archive = zipfile.ZipFile(self._sink, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL)  # type: ignore[call-overload]  # it writes to what has `write`
        self.members: dict[str, tuple[int, str]] = {}
        """Bytes and SHA-256 of each that is complete."""

    @contextmanager
    def member(self, name: str, most: int) -> Iterator[Member]:
        """A new member of `most` bytes at most."""
        info = zipfile.ZipInfo(name, _DATE)
        info.compress_type = zipfile.ZIP_DEFLATED
        info.external_attr = 0o644 << 16
        with self._archive.open(info, "w", force_zip64=most > _SMALL) as file:
            written = Member(file)
            yield written
        self.members[name] = written.described

    def add(self, name: str, data: bytes) -> None:
        """A whole member."""
        with self.member(name, len(data)) as member:
            member.write(data)

    def taken(self) -> bytes:
        """What was written since the last time."""
        return self._sink.taken()

    def close(self) -> None:
        """Write the directory; now it is an archive."""
        self._archive.close()


class _Sink:
    """Takes bytes and cannot seek."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def taken(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)
