"""Every export that the log tells of, counted again from the whole log: an exporter that left rows out is found here."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from eventstore.proof.errors import MalformedProof
from eventstore.proof.export.made import TYPE as EXPORT_MADE
from eventstore.proof.export.made import Made, json_object
from eventstore.proof.export.rows import Heads, Row
from eventstore.proof.leaf import MEMBERS

ACTOR, CORRELATION, DATA, POSITION, RECORDED_AT, STREAM, SUBJECTS, TENANT, TYPE, VERSION = map(
    MEMBERS.index,
    (
        "actor", "correlation_id", "data", "position", "recorded_at", "stream", "subjects", "tenant", "type", "version",
    ),
)  # fmt: skip


class Lie(NamedTuple):
    """An export that is not what ExportMade at this position says."""

    position: int
    cause: str


def exports_in(rows: Iterable[Sequence[Any]]) -> Iterator[Made | Lie]:
    """What the events on `log-exports` say: of rows of that stream, each as `leaf_of` takes it. One that says nothing of
    the kind was not written by Fidelog."""
    for row in rows:
        if row[TYPE] == EXPORT_MADE:
            try:
                data = json_object(row[DATA].encode(), "its data")
                yield Made.of_data(row[POSITION], row[TENANT], data)
            except MalformedProof as error:
                yield Lie(row[POSITION], f"the export at position {row[POSITION]} does not say what it holds: {error}")


def check_exports(made: Iterable[Made], rows: Iterable[tuple[Sequence[Any], bytes]]) -> Iterator[Lie]:
    """Compare what each export said with the rows, in one pass.

    `rows` are those of a tenant's log in order from position 1, at least up to the largest tree size of `made`: what
    `leaf_of` takes, and the hash of the leaf. What is held does not grow with their number.
    """
    counts = sorted((_Count(one) for one in made), key=lambda count: count.made.tree_size)
    open_ = counts
    for row, hash_ in rows:
        while open_ and open_[0].made.tree_size < row[POSITION]:
            open_ = open_[1:]
        if not open_:
            break
        for count in open_:
            count.add(row, hash_)
    for count in counts:
        if (cause := count.cause) is not None:
            yield Lie(count.made.position, cause)


class _Count:
    """One export, counted again."""

    def __init__(self, made: Made) -> None:
        self.made = made
        self._count = 0
        self._rows = hashlib.sha256()
        self._heads = Heads()

    def add(self, row: Sequence[Any], hash_: bytes) -> None:
        """The next row of the log."""
        holds = self.made.query.holds(
            subjects=row[SUBJECTS],
            actor=row[ACTOR],
            type=row[TYPE],
            stream=row[STREAM],
            correlation_id=row[CORRELATION],
            recorded_at=row[RECORDED_AT],
        )
        if holds:
            self._count += 1
            self._rows.update(Row(row[POSITION], hash_).line)
            self._heads.add(row[STREAM], row[VERSION])

    @property
    def cause(self) -> str | None:
        """What is not as the event says."""
        made = self.made
        who = f"the export at position {made.position}"
        if self._count != made.count:
            return f"{who} counted {made.count} events, and the log has {self._count} that its query asks for"
        found = {str(stream): version for stream, version in self._heads.named or ()}
        for stream, version in made.streams or ():
            if found.get(stream, 0) != version:
                return (
                    f"{who} ended stream {stream} at version {version}, and the log has it up to {found.get(stream, 0)}"
                )
        if self._rows.hexdigest() != made.rows:
            return f"{who} was of other events than the log has"
        return None
