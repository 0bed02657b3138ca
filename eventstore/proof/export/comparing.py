"""The leaves of a bundle beside its rows: which is the first that is not what was exported."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import IO, NamedTuple

from eventstore.proof.errors import MalformedProof
from eventstore.proof.export.made import Made, json_object, whole
from eventstore.proof.export.rows import Heads, Row, read_rows
from eventstore.proof.export.verdict import Tampered
from eventstore.proof.growth import GrowingTree
from eventstore.proof.leaf import LARGEST_LEAF
from eventstore.proof.merkle import leaf_hash

DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError)
"""How a packed member says that its bytes are not those that were packed."""


class Tally:
    """What the rows so far add up to. `wants`: the size of the tree of which a root is asked, if the rows reach it."""

    def __init__(self, wants: int | None) -> None:
        self.count = 0
        self.heads = Heads()
        self.root: bytes | None = None
        self._wants = wants
        self._tree = GrowingTree() if wants is not None else None

    def add(self, row: Row, stream: str, version: int) -> None:
        """A further row, found to be right."""
        self.count += 1
        self.heads.add(stream, version)
        if self._tree is None:
            return
        if row.position != self._tree.size + 1:  # rows in between are not here: the root cannot be made
            self._tree = None
            return
        self._tree.extend([row.hash])
        if self._tree.size == self._wants:
            self.root, self._tree = self._tree.root, None

    def check(self, made: Made) -> None:
        """As many rows, and each stream as far, as ExportMade says. Raises Tampered."""
        found = {str(stream): version for stream, version in self.heads.named or ()}
        for stream, version in made.streams or ():
            last = found.get(stream, 0)
            if last != version:
                raise Tampered(
                    f"stream {stream} ends at version {last} in the export, and ExportMade at position {made.position} "
                    f"says {version}"
                )
        if self.count != made.count:
            raise Tampered(
                f"the export has {self.count} rows, and ExportMade at position {made.position} says {made.count}"
            )


def compare(leaves: IO[bytes], rows: IO[bytes], made: Made, tally: Tally) -> Iterator[None]:
    """Go through both, row by row. Raises Tampered at the first difference, MalformedProof when `rows` has not the form.

    What `rows` says is believed here; whoever calls knows whether it is what ExportMade vouches for.
    """
    wanted, lines = read_rows(rows), _lines(leaves)
    row, line = next(wanted, None), next(lines, None)
    while row is not None and line is not None:
        following = next(wanted, None)
        if line.hash != row.hash:
            if following is not None and line.hash == following.hash:
                raise Tampered(f"event {row.position} is missing from the export", row.position)
            raise Tampered(f"event {row.position} is not as it was exported", row.position)
        tally.add(row, *_inspected(line.data, row, made))
        yield
        row, line = following, next(lines, None)
    if row is not None:
        raise Tampered(f"event {row.position} is missing from the export", row.position)
    if line is not None:
        raise Tampered("there is an event that was not exported", _position(line.data))


class _Line(NamedTuple):
    data: bytes
    hash: bytes


def _lines(leaves: IO[bytes]) -> Iterator[_Line]:
    """The lines without their ends. What is damaged ends them: its digest is wrong too."""
    with suppress(*DAMAGED):
        while line := leaves.readline(LARGEST_LEAF + 2):
            data = line.removesuffix(b"\n")
            # A line without an end is no leaf; what would be hashed says so.
            yield _Line(data, leaf_hash(data if data != line else line + b"\n"))


def _inspected(data: bytes, row: Row, made: Made) -> tuple[str, int]:
    """Stream and version of a leaf that is where it says it is and was asked for. Raises Tampered."""
    try:
        members = json_object(data, "the leaf")
        found = {
            name: members[name] for name in ("subjects", "actor", "type", "stream", "correlation_id", "recorded_at")
        }
        holds, version = made.query.holds(**found), whole(members["version"], "its version")
        tenant, position = members["tenant"], members["position"]
    except (MalformedProof, KeyError, TypeError):
        raise Tampered(f"what is exported as event {row.position} is no event", row.position) from None
    if tenant != made.tenant or position != row.position or position > made.tree_size:
        raise Tampered(f"what is exported as event {row.position} is of another place or log", row.position)
    if not holds:
        raise Tampered(f"event {row.position} is not one that the query asks for", row.position)
    return str(found["stream"]), version


def _position(data: bytes) -> int | None:
    try:
        return whole(json_object(data, "the leaf").get("position"), "its position")
    except MalformedProof:
        return None
