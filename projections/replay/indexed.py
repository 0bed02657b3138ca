"""The officer's index checked against the log, and brought level with it, as far as its tail has got.

Every row is compared with the view it is filled from, by position; then every row is asked for the event that calls for
it. No lock of a tenant is taken: the tail never touches what it has indexed, and waits while rows are replaced.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from psycopg import errors

from eventstore import arrays
from eventstore.statements import statement
from eventstore.writer.frame import BEGIN, COMMIT, ROLLBACK, SET_TENANT
from projections.audit_index import NAME
from projections.replay.faults import ReplayFailed
from projections.replay.healing import LOCK_SECONDS
from projections.replay.replayable import Found, Tally, Work
from projections.replay.sessions import Row, Session, int8, snapshot, text
from projections.tail import LOCK_CHECKPOINT

REACHED = statement("projections", "tail_position")
UNLIKE = statement("projections", "index_unlike")
TOO_MANY = statement("projections", "index_too_many")
DROP = statement("projections", "index_drop")
AGAIN = statement("projections", "index_again")

COLUMNS = ("leads", "stream", "type", "actor", "correlation_id", "decision_id", "recorded_at")
AT_ONCE = 5_000

Place = tuple[int, str]
"""A row's position and subject."""


@dataclass(frozen=True, slots=True)
class Positions:
    """Events after a position up to another."""

    after: int
    last: int


@dataclass(frozen=True, slots=True)
class WholeIndex:
    """All rows of the index, in order of their key."""


class IndexedEvents:
    """The table audit_index (replayable.Replayable)."""

    name = NAME
    source = "positions"

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once

    def refuse(self, session: Session, tenant_id: str) -> None:
        """It has no fold, so no newer one."""

    def ranges(self, session: Session, tenant_id: str) -> Iterator[Positions | WholeIndex]:
        with snapshot(session, tenant_id):
            reached = _reached(session, tenant_id)
        for after in range(0, reached, self._at_once):
            yield Positions(after, min(reached, after + self._at_once))
        yield WholeIndex()

    def run(self, work: Work, tenant_id: str, part: Positions | WholeIndex) -> Tally:
        if isinstance(part, WholeIndex):
            return self._too_many(work, tenant_id)
        tenant = tenant_id.encode()
        with snapshot(work.reading, tenant_id):
            unlike = work.reading.call(UNLIKE, (tenant, int8(part.after), int8(part.last)))
        work.step(part.last - part.after)
        if work.healing is None:
            for row in unlike:
                self._tell(work, tenant_id, row)
        else:
            _replace(work, work.healing, tenant_id, [(row[0], row[1]) for row in unlike])
        return Tally(part.last - part.after, 0, len(unlike))

    def _tell(self, work: Work, tenant_id: str, row: Row) -> None:
        """A row that differs, column by column."""
        position, subject, *rest = row
        wanted, there, found = rest[: len(COLUMNS)], rest[len(COLUMNS)], rest[len(COLUMNS) + 1 :]
        place = _id((position, subject))
        if not there:
            work.found(Found(self.name, tenant_id, place, "row", "absent", "present"))
            return
        for column, live, fold in zip(COLUMNS, found, wanted, strict=True):
            if live != fold:
                work.found(Found(self.name, tenant_id, place, column, live, fold))

    def _too_many(self, work: Work, tenant_id: str) -> Tally:
        tally, last, full = Tally(0, 0, 0), (0, ""), True
        while full:
            *rows, end = self._part(work.reading, tenant_id, last) or [(0, "", 0)]
            work.step(0)
            last, full = (end[0], end[1]), end[2] == self._at_once
            wrong = sorted((row[0], row[1]) for row in rows)
            for place in wrong if work.healing is None else ():
                work.found(Found(self.name, tenant_id, _id(place), "row", "present", "absent"))
            if work.healing is not None:
                _replace(work, work.healing, tenant_id, wrong)
            tally.rows += end[2]
            tally.differing += len(wrong)
        return tally

    def _part(self, session: Session, tenant_id: str, after: Place) -> list[Row]:
        with snapshot(session, tenant_id):
            reached = _reached(session, tenant_id)
            parameters = (text(tenant_id), text(after[1]), int8(after[0]), int8(self._at_once), int8(reached))
            return session.call(TOO_MANY, parameters)


def _id(place: Place) -> str:
    position, subject = place
    return f"{position}:{subject}"


def _reached(session: Session, tenant_id: str) -> int:
    """How far the tail has got; 0 when it has never begun."""
    rows = session.call(REACHED, (text(tenant_id), text(NAME)))
    return int(rows[0][0]) if rows else 0


def _replace(work: Work, session: Session, tenant_id: str, places: Sequence[Place]) -> None:
    """Bring these rows level. Raises ReplayFailed when the tail, or other replays, held the checkpoint for too long."""
    deadline = time.monotonic() + LOCK_SECONDS
    while places:
        try:
            _replace_at_once(session, tenant_id, places)
            return
        except (errors.LockNotAvailable, errors.DeadlockDetected) as busy:
            if time.monotonic() > deadline:
                what = f"the checkpoint of {NAME} of tenant {tenant_id} was not given in {LOCK_SECONDS:g} s"
                raise ReplayFailed(what) from busy
        work.pause()


def _replace_at_once(session: Session, tenant_id: str, places: Sequence[Place]) -> None:
    """One transaction: the rows go, and those that events call for come again. The tail waits meanwhile."""
    tenant = tenant_id.encode()
    positions, subjects = arrays.int8_array([p for p, _ in places]), arrays.text_array([s for _, s in places])
    try:
        session.call(BEGIN)
        session.call(SET_TENANT, (tenant,))
        checkpoint = session.call(LOCK_CHECKPOINT, (tenant, text(NAME)))
        reached = checkpoint[0][0] if checkpoint else 0
        session.call(DROP, (tenant, positions, subjects))
        due = [place for place in places if place[0] <= reached]
        if due:
            wanted = arrays.int8_array([p for p, _ in due]), arrays.text_array([s for _, s in due])
            session.call(AGAIN, (tenant, *wanted))
        session.call(COMMIT)
    finally:
        if session.in_transaction:
            session.call(ROLLBACK)
