"""Cutting a tenant's streams into ranges of some ten thousand events, found by an index alone; and counting positions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from eventstore.statements import statement
from projections.replay.sessions import Session, int8, snapshot, text

BOUNDARY = statement("projections", "replay_boundary")
NEXT_STREAM = statement("projections", "replay_next_stream")
COUNT = statement("projections", "replay_count")

EVENTS_IN_RANGE = 50_000
"""In one range, unless a single stream has more."""

COUNTED_AT_ONCE = 100_000


@dataclass(frozen=True, slots=True)
class StreamRange:
    """Streams from `first` up to and without `end`, and the rows whose ids lie from `first_id` up to `end_id`.

    None is no bound: together a category's ranges hold every row of its table, also one without a stream.
    """

    first: str
    end: str
    first_id: str | None
    end_id: str | None


def stream_ranges(session: Session, tenant_id: str, category: str, events: int) -> Iterator[StreamRange]:
    """The category's streams, in order, without overlap. Streams that appear meanwhile lie in one of them too."""
    prefix, end = f"{category}-", f"{category}."  # "." is what follows "-" in C order
    first, first_id = prefix, None
    while True:
        following = _following(session, tenant_id, first, end, events)
        if following is None:
            yield StreamRange(first, end, first_id, None)
            return
        following_id = following.removeprefix(prefix)
        yield StreamRange(first, following, first_id, following_id)
        first, first_id = following, following_id


def _following(session: Session, tenant_id: str, first: str, end: str, events: int) -> str | None:
    """The first stream of the next range; None when this one is the last."""
    with snapshot(session, tenant_id):
        found = session.call(BOUNDARY, (text(tenant_id), text(first), text(end), int8(events)))
        if found and found[0][0] == first:  # a single stream of that many events
            found = session.call(NEXT_STREAM, (text(tenant_id), text(first), text(end)))
        return str(found[0][0]) if found else None


def missing_positions(session: Session, tenant_id: str) -> Iterator[tuple[int, int, int]]:
    """P3: position by position range (after, up to, how many events are missing there), up to the newest event.

    A stream that lost its last events folds without a fault, to an older state: only the positions tell.
    """
    with snapshot(session, tenant_id) as head:
        pass
    for after in range(0, head, COUNTED_AT_ONCE):
        last = min(head, after + COUNTED_AT_ONCE)
        with snapshot(session, tenant_id):
            number = session.call(COUNT, (text(tenant_id), int8(after), int8(last)))[0][0]
        yield after, last, last - after - number
