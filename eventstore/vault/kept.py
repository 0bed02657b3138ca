"""The living keys as the last rotation wrapped them, outside the database: with them a backup from before it can still be
used. An erased person's key is taken out of them at once."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, NamedTuple
from uuid import UUID

from eventstore.durable import remove_drafts, written_durably

_RECORD = struct.Struct(">128s16sIB95s")
"""Subject (padded with zeros), key id, epoch, length of the wrapped key, wrapped key. In order of the subjects."""


class KeptKey(NamedTuple):
    """A subject's key, as in client_keys."""

    subject: str
    key_id: str
    epoch: int
    wrapped: bytes


class KeptKeys:
    """The files `kept-keys/<tenant>` of a state folder."""

    def __init__(self, state_dir: Path) -> None:
        self._folder = state_dir / "kept-keys"

    def write(self, tenant_id: str, keys: Iterable[KeptKey]) -> None:
        """Keep these, in order of their subjects, and no others: what a process left that died at it goes too, or it would
        hold the keys of whoever is erased from now on. One process at a time. Raises OSError."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        remove_drafts(self._folder / tenant_id)
        with written_durably(self._folder / tenant_id) as file:
            for key in keys:
                packed = UUID(key.key_id).bytes
                file.write(_RECORD.pack(key.subject.encode(), packed, key.epoch, len(key.wrapped), key.wrapped))

    def find(self, tenant_id: str, subject: str) -> KeptKey | None:
        """The subject's key. Raises OSError."""
        try:
            with (self._folder / tenant_id).open("rb") as file:
                place = _place(file, subject)
                return None if place is None else _at(file, place)
        except FileNotFoundError:
            return None

    def destroy(self, tenant_id: str, subjects: Iterable[str]) -> None:
        """Overwrite the subjects' keys; that is on the disk when this returns. Raises OSError."""
        try:
            with (self._folder / tenant_id).open("r+b") as file:
                for subject in subjects:
                    place = _place(file, subject)
                    if place is not None:
                        file.seek(place * _RECORD.size)
                        file.write(_RECORD.pack(subject.encode(), bytes(16), 0, 0, b""))
                file.flush()
                os.fsync(file.fileno())
        except FileNotFoundError:
            return


def _at(file: BinaryIO, place: int) -> KeptKey | None:
    file.seek(place * _RECORD.size)
    subject, key_id, epoch, length, wrapped = _RECORD.unpack(file.read(_RECORD.size))
    name = subject.rstrip(b"\0").decode()
    return KeptKey(name, str(UUID(bytes=key_id)), epoch, wrapped[:length]) if length else None


def _place(file: BinaryIO, subject: str) -> int | None:
    """By halving."""
    wanted = subject.encode().ljust(128, b"\0")
    low, high = 0, file.seek(0, os.SEEK_END) // _RECORD.size
    while low < high:
        middle = (low + high) // 2
        file.seek(middle * _RECORD.size)
        found = file.read(128)
        if found == wanted:
            return middle
        low, high = (middle + 1, high) if found < wanted else (low, middle)
    return None
