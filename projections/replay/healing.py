"""Bringing rows level with the log, in small transactions under the tenant's lock."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from operator import itemgetter

from psycopg import errors

from eventstore import arrays
from eventstore.rows import Decoder
from eventstore.statements import statement
from eventstore.writer.engine import Folded
from eventstore.writer.frame import BEGIN, COMMIT, LOCK, ROLLBACK, SET_TENANT
from projections.read_model import ReadModel
from projections.replay.comparing import Difference
from projections.replay.faults import NewerFold, ReplayFailed
from projections.replay.folding import Folder
from projections.replay.sessions import Call, Row, Session, int8

TURN = statement("projections", "replay_turn")
LOCK_OR_FAIL = statement("projections", "replay_lock")
UNMOVED = statement("projections", "replay_unmoved")
CLOCK = statement("projections", "replay_clock")
DURABLE = statement("projections", "replay_durable")
"""Its commit is durable, and with it every one before: the log of PostgreSQL is written in order."""
EVENTS_SINCE = statement("projections", "replay_events_since")

FIRST_ROWS, FEWEST_ROWS, MOST_ROWS, MOST_BYTES = 100, 10, 500, 4 << 20
"""Of one transaction."""
LONG_SECONDS = 0.03
"""A transaction that held the lock longer makes the next ones smaller: no write waits longer than a second."""
LOCK_SECONDS = 60.0
"""How long to try for the lock; each try ends after the session's lock_timeout, and a writer comes first."""

UNEXPECTED_ROWS = "FL005"
_STREAM_AND_VERSION = itemgetter(0, 6)

_NOTHING: Future[None] = Future()
_NOTHING.set_result(None)


class Pace:
    """How many rows one transaction replaces, by how long the lock was held for those before it."""

    def __init__(self) -> None:
        self.rows = FIRST_ROWS

    def held(self, seconds: float, rows: int) -> None:
        """A transaction of so many rows held the lock for so long."""
        if seconds > LONG_SECONDS:
            self.rows = max(FEWEST_ROWS, min(self.rows, rows) // 2)
        elif seconds < LONG_SECONDS / 3 and rows >= self.rows:
            self.rows = min(MOST_ROWS, self.rows * 2)


class Healer:
    """Replaces the rows of one range. Works in a thread of its own while the next rows are compared.

    `head` is the newest position of the snapshot the differences were found in: what was appended later is folded on
    top under the lock, so that a row is right although a writer built on it meanwhile (P7).
    """

    def __init__(
        self,
        session: Session,
        pace: Pace,
        pause: Callable[[], None],
        model: ReadModel,
        codec: Decoder,
        tenant_id: str,
        head: int,
    ) -> None:
        self.healed = 0
        self._session = session
        self._model = model
        self._codec = codec
        self._tenant_id = tenant_id
        self._head = head
        self._pace = pace
        self._pause = pause
        self._waiting: list[Difference] = []
        self._bytes = 0
        self._thread = ThreadPoolExecutor(1)
        self._turn = self._running = _NOTHING

    def add(self, difference: Difference, size: int) -> None:
        """Heal the row soon; `size` is at least the bytes of its state.

        Raises NewerFold, ReplayFailed, psycopg.Error, also for rows added before.
        """
        if difference.row is not None and difference.row[-1] > self._model.fold_version:
            raise NewerFold(self._model.table, difference.row[-1], self._model.fold_version)
        if len(self._waiting) >= self._pace.rows or self._bytes >= MOST_BYTES:
            self._send()  # before the next is taken in: one is always left for `finish`, whose commit is durable
        self._waiting.append(difference)
        self._bytes += size
        if difference.row is not None:
            self._bytes += sum(len(value) for value in difference.row if isinstance(value, bytes))

    def finish(self) -> None:
        """Heal what is left and wait for it. Raises as `add` does."""
        if self._waiting:
            self._send(last=True)
        self._running.result()

    def close(self) -> None:
        """Wait for the transaction under way; what still waits is left as it is."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _send(self, *, last: bool = False) -> None:
        """Hand over what waits. One batch may be under way and one be ready for its turn."""
        batch, self._waiting, self._bytes = self._waiting, [], 0
        self._turn.result()
        self._turn, self._running = self._running, self._thread.submit(self._heal, batch, self._running, last)

    def _heal(self, batch: Sequence[Difference], before: Future[None], last: bool) -> None:
        before.result()  # nothing is done after a fault
        while batch:
            number = self._pace.rows  # it may have fallen since the batch was gathered
            part = _Part(self._model, self._tenant_id, batch[:number])
            batch = batch[number:]
            self._heal_part(part, durable=last and not batch)

    def _heal_part(self, part: _Part, durable: bool) -> None:
        deadline = time.monotonic() + LOCK_SECONDS
        careful = False
        while True:
            try:
                self._replace(part, careful, durable)
                return
            except (errors.LockNotAvailable, errors.DeadlockDetected) as busy:
                if time.monotonic() > deadline:
                    what = f"the lock of tenant {self._tenant_id} was not given in {LOCK_SECONDS:g} s"
                    raise ReplayFailed(what) from busy
            except errors.UniqueViolation as stands:
                # A row that was missing is there: another replay put it there. Once more, deleting it first.
                if careful:
                    what = f"a newer Fidelog writes rows of {self._model.table}; they are left alone"
                    raise ReplayFailed(what) from stands
                careful = True
            except errors.DatabaseError as other:
                if careful or other.sqlstate != UNEXPECTED_ROWS:
                    raise
                careful = True  # a stream moved
            finally:
                if self._session.in_transaction:
                    self._session.call(ROLLBACK)
            self._pause()

    def _replace(self, part: _Part, careful: bool, durable: bool) -> None:
        """One transaction."""
        commit: list[Call] = [(DURABLE, ()), (COMMIT, ())] if durable else [(COMMIT, ())]
        held = self._replace_carefully(part, commit) if careful else self._replace_unmoved(part, commit)
        self.healed += len(part.ids)
        self._pace.held(held, len(part.ids))

    def _replace_unmoved(self, part: _Part, commit: Sequence[Call]) -> float:
        """For how many seconds the lock was held. One trip: the lock never waits for this process.

        Raises an error of UNEXPECTED_ROWS, and changes nothing, when a stream moved since it was folded.
        """
        tenant = self._tenant_id.encode()
        unmoved = (tenant, int8(self._head), part.streams)
        trip: list[Call] = [
            (BEGIN, ()), (SET_TENANT, (tenant,)), (TURN, (tenant,)), (LOCK_OR_FAIL, (tenant,)), (UNMOVED, unmoved)
        ]  # fmt: skip
        if part.there:
            trip.append((self._model.delete, self._deleting(part.there)))
        if part.insert is not None:
            trip.append((self._model.insert, part.insert))
        answers = self._session.trip([*trip, (CLOCK, ()), *commit])
        locked, done = answers[4][0][1], answers[len(trip)][0][0]
        return float((done - locked).total_seconds())

    def _replace_carefully(self, part: _Part, commit: Sequence[Call]) -> float:
        """For how many seconds the lock was held. Folds what came since under it, and deletes rows that should not be
        there."""
        call, tenant = self._session.call, self._tenant_id.encode()
        call(BEGIN)
        call(SET_TENANT, (tenant,))
        call(TURN, (tenant,))
        if len(call(LOCK, (tenant,))) != 1:
            raise ReplayFailed(f"the tenant {self._tenant_id} has no lock row")
        locked = time.monotonic()
        since = call(EVENTS_SINCE, (tenant, int8(self._head), part.streams))
        insert = part.insert if not since else self._moved(part, since)
        call(self._model.delete, self._deleting(part.ids))
        if insert is not None:
            call(self._model.insert, insert)
        self._session.trip(commit)
        return time.monotonic() - locked

    def _deleting(self, ids: Sequence[str]) -> Sequence[bytes]:
        return self._tenant_id.encode(), arrays.text_array(ids), int8(self._model.fold_version)

    def _moved(self, part: _Part, since: Sequence[Row]) -> Sequence[bytes | None] | None:
        """What to insert when streams of the part went on since they were folded."""
        folder = Folder(self._tenant_id, self._model.fold, self._codec)
        moved = folder.streams([sorted(since, key=_STREAM_AND_VERSION)], part.states)
        return _insert(self._model, self._tenant_id, {**part.states, **dict(moved)})


class _Part:
    """Rows to be replaced in one transaction, and all that can be made ready before the lock is taken."""

    def __init__(self, model: ReadModel, tenant_id: str, differences: Sequence[Difference]) -> None:
        self.ids = [difference.id for difference in differences]
        self.there = [difference.id for difference in differences if difference.row is not None]
        self.states = {f"{model.category}-{d.id}": d.stream_state for d in differences}
        self.streams = arrays.text_array(list(self.states))
        self.insert = _insert(model, tenant_id, self.states)


def _insert(model: ReadModel, tenant_id: str, states: Mapping[str, Folded]) -> Sequence[bytes | None] | None:
    """The parameters of inserting the rows of all streams that have events; None when none has."""
    right = [(stream, state) for stream, state in states.items() if state.version]
    return model.parameters(tenant_id, right) if right else None
