"""A session that reads: statements go out as they are asked, many at a time, and are answered in their order.

A cursor and a pool cost more than the keyed reads made through them, and a round trip each. Here reads that are asked
at the same moment share one: libpq's pipeline mode, one sync behind all of them, and the event loop hands out answers.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import psycopg
from psycopg import pq
from psycopg.abc import Buffer
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result

from eventstore.statements import Statement
from eventstore.wire import SUCCEEDED, Wire

SET_TENANT = Statement("set_tenant_of_session", "SELECT set_config('fidelog.tenant_id', $1, false)")

Rows = list[tuple[Any, ...]]

Prepared = tuple[str, tuple[int, ...]]
"""What is prepared: a statement's text and its parameters' types."""

_NOT_PREPARED = "26000"


class NotRead(Exception):
    """A read was not carried out: the session was lost, or what went before it failed, which is then the cause."""


class _Sent(NamedTuple):
    """A statement whose result is awaited, and whose it is; `prepares` when it only prepares that one's."""

    answer: asyncio.Future[Rows] | None = None
    prepares: Prepared | None = None


_SYNC = _Sent()
_TENANT = _Sent()


class Session:
    """One connection in pipeline mode for its whole life. `on_lost` is told when it can be used no more.

    A session that gives no answer for `patience` seconds while one is awaited is lost too.
    """

    def __init__(
        self, connection: psycopg.AsyncConnection[Any], on_lost: Callable[[Session], None], patience: float
    ) -> None:
        self._connection = connection
        self._pgconn = connection.pgconn
        self._transformer = Transformer(connection)
        self._on_lost = on_lost
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._tenant_id: str | None = None
        self._prepared: dict[Prepared, bytes] = {}
        self._numbers = itertools.count(1)
        self._sent: deque[_Sent] = deque()
        self._unsynced = False
        self._failed: list[tuple[asyncio.Future[Rows] | None, psycopg.Error]] = []
        """Failures since the last sync was answered: told when the next one is, so that the error a session ended
        with is taken for no statement's own."""
        self._answers = 0
        self._watch: asyncio.TimerHandle | None = None
        self.lost = False
        self._pgconn.enter_pipeline_mode()
        self._wire = Wire(self._pgconn, self._sent.__len__, self._take, self.lose)

    @property
    def busy(self) -> int:
        """How many results are awaited."""
        return len(self._sent)

    async def rows(self, tenant_id: str, wanted: Statement, parameters: Sequence[Any], *, alone: bool) -> Rows:
        """All rows of one statement that sees the tenant's rows (P9). Raises NotRead, psycopg.Error.

        One that is not asked `alone` is prepared and shares a sync: the failure of one before it leaves it unread.
        """
        answer: asyncio.Future[Rows] = self._loop.create_future()
        try:
            if self._tenant_id != tenant_id:
                self._set_tenant(tenant_id)
            if alone:
                self._ask_alone(wanted, parameters, _Sent(answer))
            else:
                self._ask(wanted, parameters, answer)
        except psycopg.OperationalError as error:
            answer.cancel()
            self.lose(error)
            raise NotRead("the session is lost") from error
        if self._watch is None:
            self._watch = self._loop.call_later(self._patience, self._look, self._answers)
        return await answer

    def _set_tenant(self, tenant_id: str) -> None:
        """In a sync of its own: the failure of a statement in the same one would undo it (P9)."""
        self._ask_alone(SET_TENANT, (tenant_id,), _TENANT)
        self._tenant_id = tenant_id

    def _ask_alone(self, wanted: Statement, parameters: Sequence[Any], sent: _Sent) -> None:
        buffers, types, formats = self._dumped(parameters)
        self._sync()
        self._pgconn.send_query_params(wanted.sql.encode(), buffers, types, formats, pq.Format.BINARY)
        self._sent.append(sent)
        self._unsynced = True
        self._sync()

    def _ask(self, wanted: Statement, parameters: Sequence[Any], answer: asyncio.Future[Rows]) -> None:
        buffers, types, formats = self._dumped(parameters)
        key = (wanted.sql, types)
        name = self._prepared.get(key)
        if name is None:
            name = self._prepared[key] = b"read_%d" % next(self._numbers)
            self._pgconn.send_prepare(name, wanted.sql.encode(), types)
            self._sent.append(_Sent(answer, prepares=key))
        self._pgconn.send_query_prepared(name, buffers, formats, pq.Format.BINARY)
        self._sent.append(_Sent(answer))
        if not self._unsynced:
            self._unsynced = True
            self._loop.call_soon(self._sync_soon)  # whatever else is asked by then shares the sync

    def _dumped(
        self, parameters: Sequence[Any]
    ) -> tuple[Sequence[Buffer | None], tuple[int, ...], Sequence[pq.Format]]:
        buffers = self._transformer.dump_sequence(parameters, [PyFormat.AUTO] * len(parameters))
        types, formats = self._transformer.types, self._transformer.formats
        assert types is not None
        assert formats is not None
        return buffers, types, formats

    # sending

    def _sync(self) -> None:
        """The end of what the server carries out, or skips, together. Raises psycopg.OperationalError."""
        if self._unsynced:
            self._unsynced = False
            self._sent.append(_SYNC)
            self._pgconn.pipeline_sync()
            self._wire.flush()

    def _sync_soon(self) -> None:
        try:
            self._sync()
        except psycopg.OperationalError as error:
            self.lose(error)

    # answers

    def _take(self, result: pq.abc.PGresult) -> None:
        """Raises psycopg.OperationalError when nothing that comes after it can be trusted."""
        sent, status = self._sent.popleft(), result.status
        self._answers += 1
        if (sent is _SYNC) is not (status == pq.ExecStatus.PIPELINE_SYNC):
            raise psycopg.OperationalError("the answers are out of step with what was sent")
        if sent is _SYNC:
            self._tell_failures()
        elif status not in SUCCEEDED:
            self._fail(sent, result)
        elif sent.answer is not None and sent.prepares is None and not sent.answer.done():
            self._give(sent.answer, result)

    def _give(self, answer: asyncio.Future[Rows], result: pq.abc.PGresult) -> None:
        try:
            self._transformer.set_pgresult(result)
            answer.set_result(self._transformer.load_rows(0, result.ntuples, tuple))
        except psycopg.Error as error:  # a value that Python cannot hold
            answer.set_exception(error)

    def _fail(self, sent: _Sent, result: pq.abc.PGresult) -> None:
        error = error_from_result(result)
        if sent is _TENANT:
            # P9: with the tenant not known to be set, nothing that was sent behind it may be answered.
            raise psycopg.OperationalError("the tenant could not be set") from error
        if sent.prepares is not None:
            self._prepared.pop(sent.prepares, None)
        self._failed.append((sent.answer, error))

    def _tell_failures(self) -> None:
        """The first failure is its read's own; the server skipped what came behind it, or that was to be prepared there."""
        for number, (answer, error) in enumerate(self._failed):
            if answer is None or answer.done():
                continue
            if number or error.sqlstate == _NOT_PREPARED:
                answer.set_exception(_not_read("what went before it failed", self._failed[0][1]))
            else:
                answer.set_exception(error)
        self._failed.clear()

    # the end

    def _look(self, answers: int) -> None:
        """No answer since the last look, though one is awaited: the server, or the way to it, stands still."""
        self._watch = None
        if self._sent and answers == self._answers:
            self.lose(psycopg.OperationalError("no answer in time"))
        elif self._sent:
            self._watch = self._loop.call_later(self._patience, self._look, self._answers)

    def lose(self, error: psycopg.Error) -> None:
        """Close it; whatever is awaited was not read."""
        if self.lost:
            return
        self.lost = True
        self._wire.stop()
        if self._watch is not None:
            self._watch.cancel()
        answers = [answer for answer, _ in self._failed] + [sent.answer for sent in self._sent]
        self._sent.clear()
        self._unsynced = False
        self._pgconn.finish()
        self._on_lost(self)
        for answer in answers:
            if answer is not None and not answer.done():
                answer.set_exception(_not_read("the session is lost", error))


def _not_read(message: str, cause: psycopg.Error) -> NotRead:
    error = NotRead(message)
    error.__cause__ = cause
    return error
