"""What happened to the first event of a tile that is not as it was sealed: the tile has the hashes of the true leaves."""

from __future__ import annotations

from collections.abc import Sequence

from eventstore.verifying.rows import POSITION, Row, hash_at


def diagnose(rows: Sequence[Row], sealed: Sequence[bytes], first: int, bad: int) -> str:
    """The cause in words. `rows` are those of a tile, `sealed` its hashes, `first` the position of its first leaf and
    `bad` the first position at which they differ.

    A leaf names its position. So a row that was moved is recognised by the hash it has at the place it came from.
    """
    by_position = {row[POSITION]: row for row in rows}
    here = by_position.get(bad)
    if here is None:
        return f"event {bad} is missing"
    came_from = _place(here, sealed, first)
    went_to = next((place for place, row in by_position.items() if hash_at(row, bad) == sealed[bad - first]), None)
    if came_from is not None and came_from == went_to:
        return f"events {bad} and {came_from} were swapped"
    if went_to is not None and went_to > bad:
        what = "was inserted" if came_from is None else f"is a duplicate of event {came_from}"
        return f"the event at position {bad} {what}: event {bad} as it was sealed now stands at {went_to}"
    if came_from is not None and came_from > bad:
        return f"event {bad} was removed: at its place stands what was sealed as event {came_from}"
    if came_from is not None:
        return f"event {bad} was replaced by a copy of event {came_from}"
    return f"event {bad} was changed"


def _place(row: Row, sealed: Sequence[bytes], first: int) -> int | None:
    """Where the row's leaf was sealed, if that is in the tile."""
    return next((first + n for n, hash_ in enumerate(sealed) if hash_at(row, first + n) == hash_), None)
