"""The file of a bundle: a ZIP archive whose members are exactly those that a bundle has."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from eventstore.proof.export.comparing import DAMAGED
from eventstore.proof.export.manifest import AFTER, CONSISTENCY, MANIFEST, Manifest
from eventstore.proof.export.verdict import NotVerifiable

MOST_BYTES = 1 << 22
"""Of the members that are held whole. Leaves, rows, nodes and pages for reading are not."""
CHUNK = 1 << 16


class Archive:
    """An opened bundle."""

    def __init__(self, file: zipfile.ZipFile) -> None:
        self._file = file
        infos = file.infolist()
        self.names = [info.filename for info in infos]
        if len(set(self.names)) != len(self.names) or file.comment or not infos or infos[0].header_offset != 0:
            raise NotVerifiable("the file is not a bundle: its archive is not of the proper form")
        missing = AFTER - set(self.names)
        if missing:
            raise NotVerifiable(f"the file is not a whole bundle: {', '.join(sorted(missing))} is missing")

    def small(self, name: str) -> bytes:
        """A whole member. Raises NotVerifiable when it is larger than any such member is."""
        with self._file.open(name) as member:
            data = member.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise NotVerifiable(f"{name} is larger than it ever is")
        return data

    def open(self, name: str) -> IO[bytes]:
        """A member as a stream."""
        return self._file.open(name)

    def consistency(self) -> bytes | None:
        """consistency.json, if it is there."""
        return self.small(CONSISTENCY) if CONSISTENCY in self.names else None

    def check_names(self, manifest: Manifest) -> None:
        """Nothing is there that the manifest does not name, and all that it names. Raises NotVerifiable."""
        expected = manifest.members.keys() | AFTER
        odd = (set(self.names) - {CONSISTENCY}) ^ expected
        if odd:
            raise NotVerifiable(f"the members are not those that {MANIFEST} names: {', '.join(sorted(odd))}")

    def changed(self, manifest: Manifest) -> Iterator[tuple[str, bool]]:
        """Each member that the manifest names, and whether its content is another."""
        for name, (size, sha) in manifest.members.items():
            hashed, count = hashlib.sha256(), 0
            try:
                with self._file.open(name) as member:
                    while count <= size and (chunk := member.read(CHUNK)):
                        hashed.update(chunk)
                        count += len(chunk)
            except DAMAGED:
                count = -1
            yield name, (count, hashed.hexdigest()) != (size, sha)


@contextmanager
def open_archive(file: IO[bytes]) -> Iterator[Archive]:
    """Raises NotVerifiable when the file is no archive, such as one that was cut off."""
    try:
        opened = zipfile.ZipFile(file)
    except zipfile.BadZipFile:
        raise NotVerifiable("the file is not a whole bundle: it is no ZIP archive, or was cut off") from None
    with opened:
        yield Archive(opened)
