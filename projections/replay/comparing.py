"""A read model's rows beside the fold of their streams, both in order of the id."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from eventstore.writer.engine import Folded
from projections.read_model import ReadModel
from projections.replay.sessions import Row

Unequal = tuple[str, Any, Any]
"""A column, what the row holds, and what the fold gives."""


@dataclass(slots=True)
class Difference:
    """A row that is not what its stream folds to. Without `folded` there is no stream, without `row` no row."""

    id: str
    folded: Folded | None
    row: Row | None

    @property
    def stream_state(self) -> Folded:
        """What is known of the stream; version 0 when it has no event."""
        return self.folded or Folded(None, 0, 0, stored=False)


class Comparison:
    """Walks through a range; `rows` counts what was compared."""

    def __init__(self, model: ReadModel) -> None:
        self.rows = 0
        self._model = model

    def differences(self, folded: Iterable[tuple[str, Folded]], live: Iterator[Row]) -> Iterator[Difference]:
        """Every difference between the streams' states and the rows, both in order."""
        stored, skipped = self._model.stored, len(self._model.category) + 1
        row = next(live, None)
        for stream, state in folded:
            identifier = stream[skipped:]
            while row is not None and row[0] < identifier:
                self.rows += 1
                yield Difference(row[0], None, row)
                row = next(live, None)
            self.rows += 1
            if row is None or row[0] != identifier:
                yield Difference(identifier, state, None)
                continue
            if row != stored(state) and unequal(self._model, row, state):
                yield Difference(identifier, state, row)
            row = next(live, None)
        while row is not None:
            self.rows += 1
            yield Difference(row[0], None, row)
            row = next(live, None)


def unequal(model: ReadModel, row: Row, folded: Folded) -> list[Unequal]:
    """The columns in which they differ. JSON is compared by value. A row of a newer fold differs in that alone: what
    its other columns should hold, only that fold can tell."""
    if row[-1] > model.fold_version:
        return [("fold_version", row[-1], model.fold_version)]
    found = []
    for name, live, right in zip(model.names, row, model.values(folded), strict=True):
        value = _value(live)
        if value != right:
            found.append((name, value, right))
    return found


def describe(model: ReadModel, difference: Difference) -> list[Unequal]:
    """The difference column by column; a row that is missing or too many is one, of the column `row`."""
    if difference.row is None:
        return [("row", "absent", "present")]
    if difference.folded is None:
        return [("row", "present", "absent")]
    return unequal(model, difference.row, difference.folded)


def _value(live: Any) -> Any:
    if not isinstance(live, bytes):
        return live
    try:
        return orjson.loads(live)
    except orjson.JSONDecodeError:  # PostgreSQL allows what no value of ours holds
        return live.decode()
