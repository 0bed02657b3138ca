"""Bringing rows level with the log, in small transactions under the tenant's lock."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

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
from projections.replay.sessions import Session, int8, text

EVENTS_SINCE = statement("projections", "replay_events_since")

ROWS, BYTES = 500, 4 << 20
"""At most in one transaction."""
FEWEST_ROWS = 25
LONG_SECONDS = 0.05
"""A transaction that held the lock longer makes the next ones smaller: no write waits longer than a second."""
LOCK_SECONDS = 60.0
"""How long to try for the lock; each try ends after the session's lock_timeout, and a writer comes first."""

_NOTHING: Future[None] = Future()
_NOTHING.set_result(None)


class Healer:
    """Replaces the rows of one range. Works in a thread of its own while the next rows are compared.

    `head` is the newest position of the snapshot the differences were found in: what was appended later is folded on
    top under the lock, so that a row is right although a writer built on it meanwhile (P7).
    """

    def __init__(
        self, session: Session, model: ReadModel, codec: Decoder, tenant_id: str, head: int, pause: Callable[[], None]
    ) -> None:
        self.healed = 0
        self._session = session
        self._model = model
        self._codec = codec
        self._tenant_id = tenant_id
        self._head = head
        self._pause = pause
        self._waiting: list[Difference] = []
        self._bytes = 0
        self._rows = ROWS
        self._thread = ThreadPoolExecutor(1)
        self._running = _NOTHING

    def add(self, difference: Difference, size: int) -> None:
        """Heal the row soon. Raises NewerFold, ReplayFailed, psycopg.Error, also for rows added before."""
        if difference.row is not None and difference.row[-1] > self._model.fold_version:
            raise NewerFold(self._model.table, difference.row[-1], self._model.fold_version)
        self._waiting.append(difference)
        self._bytes += size
        if len(self._waiting) >= self._rows or self._bytes >= BYTES:
            self._send()

    def finish(self) -> None:
        """Heal what is left and wait for it. Raises as `add` does."""
        if self._waiting:
            self._send()
        self._running.result()

    def close(self) -> None:
        """Wait for the transaction under way; what still waits is left as it is."""
        self._thread.shutdown(wait=True)

    def _send(self) -> None:
        self._running.result()
        batch, self._waiting, self._bytes = self._waiting, [], 0
        self._running = self._thread.submit(self._heal, batch)

    def _heal(self, batch: Sequence[Difference]) -> None:
        deadline = time.monotonic() + LOCK_SECONDS
        suspicious = False
        while True:
            try:
                self._replace(batch, suspicious)
                return
            except (errors.LockNotAvailable, errors.DeadlockDetected) as busy:
                if time.monotonic() > deadline:
                    what = f"the lock of tenant {self._tenant_id} was not given in {LOCK_SECONDS:g} s"
                    raise ReplayFailed(what) from busy
            except errors.UniqueViolation as stands:
                # A row that was missing is there: another replay put it there. Once more, deleting it first.
                if suspicious:
                    what = f"a newer Fidelog writes rows of {self._model.table}; they are left alone"
                    raise ReplayFailed(what) from stands
                suspicious = True
            finally:
                if self._session.in_transaction:
                    self._session.call(ROLLBACK)
            self._pause()

    def _replace(self, batch: Sequence[Difference], suspicious: bool) -> None:
        """One transaction: lock, fold what came since, delete, insert."""
        call, tenant = self._session.call, self._tenant_id.encode()
        call(BEGIN)
        call(SET_TENANT, (tenant,))
        if len(call(LOCK, (tenant,))) != 1:
            raise ReplayFailed(f"the tenant {self._tenant_id} has no lock row")
        locked = time.monotonic()
        right, moved = self._right(batch)
        there = [d.id for d in batch if d.row is not None or suspicious or d.id in moved]
        if there:
            call(self._model.delete, (tenant, arrays.text_array(there), int8(self._model.fold_version)))
        if right:
            call(self._model.insert, self._model.parameters(self._tenant_id, right))
        call(COMMIT)
        self.healed += len(batch)
        self._fit(time.monotonic() - locked)

    def _right(self, batch: Sequence[Difference]) -> tuple[list[tuple[str, Folded]], set[str]]:
        """The states that the rows must hold, each with its stream, and the ids of streams that moved."""
        category = self._model.category
        states = {f"{category}-{d.id}": d.stream_state for d in batch}
        since = self._session.call(
            EVENTS_SINCE, (text(self._tenant_id), int8(self._head), arrays.text_array(list(states)))
        )
        folder = Folder(self._tenant_id, self._model.fold, self._codec)
        moved = set()
        for row in since:
            if row[0] not in moved:  # the transaction may be tried again: fold a copy
                moved.add(row[0])
                states[row[0]] = _copy(states[row[0]])
            folder.apply(states[row[0]], row)
        right = [(stream, state) for stream, state in states.items() if state.version]
        return right, {stream[len(category) + 1 :] for stream in moved}

    def _fit(self, held: float) -> None:
        if held > LONG_SECONDS:
            self._rows = max(FEWEST_ROWS, self._rows // 2)
        elif held < LONG_SECONDS / 3:
            self._rows = min(ROWS, self._rows * 2)


def _copy(folded: Folded) -> Folded:
    return Folded(folded.state, folded.version, folded.position, folded.stored, folded.fold_version)


def size_of(values: Sequence[Any]) -> int:
    """Bytes of a row's JSON, which is what can be large in it."""
    return sum(len(value) for value in values if isinstance(value, bytes))
