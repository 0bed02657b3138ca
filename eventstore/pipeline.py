"""Round trips: many prepared statements sent together over libpq's pipeline mode, their results read together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Any

import psycopg
from psycopg import pq
from psycopg.abc import Buffer
from psycopg.adapt import Transformer

from eventstore.errors import ConnectionLost, StatementFailed
from eventstore.statements import Statement
from eventstore.wire import SUCCEEDED, Wire

Call = tuple[Statement, Sequence[bytes | None]]
"""A statement and its binary parameters."""

Rows = list[tuple[Any, ...]]


class Pipeline:
    """One connection, in pipeline mode for its whole life. Not for use by two tasks at a time."""

    def __init__(self, connection: psycopg.AsyncConnection[Any], timeout: float) -> None:
        self._connection = connection
        self._pgconn = connection.pgconn
        self._transformer = Transformer(connection)
        self._timeout = timeout
        self._pgconn.enter_pipeline_mode()

    @classmethod
    async def connect(cls, conninfo: str, statements: Sequence[Statement], timeout: float = 15.0) -> Pipeline:
        """Connect and prepare `statements`. Raises ConnectionLost or StatementFailed."""
        try:
            connection = await psycopg.AsyncConnection.connect(conninfo, autocommit=True)
        except psycopg.Error as error:
            raise ConnectionLost(str(error)) from error
        pipeline = cls(connection, timeout)
        try:
            for statement in statements:
                pipeline._pgconn.send_prepare(statement.name.encode(), statement.sql.encode())
            await pipeline._exchange([s.name for s in statements])
        except BaseException:
            await pipeline.close()
            raise
        return pipeline

    async def trip(self, calls: Sequence[Call]) -> list[Rows]:
        """Send all calls and a sync, and return each call's rows.

        The server skips what follows a failed statement, a COMMIT included, so an error on a statement before the
        COMMIT means that nothing was committed. Raises StatementFailed for the first failed statement, ConnectionLost
        when the answers did not come (within the timeout); after either the caller rolls back or closes.
        """
        send = self._pgconn.send_query_prepared
        try:
            for statement, parameters in calls:
                formats = [pq.Format.BINARY] * len(parameters)
                send(statement.name.encode(), _buffers(parameters), formats, pq.Format.BINARY)
        except psycopg.Error as error:
            raise ConnectionLost(str(error)) from error
        results = await self._exchange([statement.name for statement, _ in calls])
        return [self._rows(result) for result in results]

    def _rows(self, result: pq.abc.PGresult) -> Rows:
        if not result.ntuples:
            return []
        self._transformer.set_pgresult(result)
        return self._transformer.load_rows(0, result.ntuples, tuple)

    async def _exchange(self, names: Sequence[str]) -> list[pq.abc.PGresult]:
        """Send what is queued with a sync; the results of the commands called `names`, the first failure raised."""
        exchange = _Exchange(self._pgconn)
        try:
            self._pgconn.pipeline_sync()
            async with asyncio.timeout(self._timeout):
                results = await exchange.done()
        except (psycopg.Error, TimeoutError) as error:
            # A failed read may hide the server's last word (why it ended the session); the outcome stays unknown.
            raise ConnectionLost(str(error) or "no answer in time") from error
        finally:
            exchange.stop()
        for name, result in zip(names, results, strict=False):
            if result.status not in SUCCEEDED:
                raise _failure(name, result)
        if len(results) != len(names):
            raise ConnectionLost("the connection ended before all answers came")
        return results

    @property
    def lost(self) -> bool:
        """Whether the connection is known to be unusable."""
        return self._pgconn.status != pq.ConnStatus.OK

    async def close(self) -> None:
        """Close the connection; an open transaction ends without a commit."""
        await self._connection.close()

    async def __aenter__(self) -> Pipeline:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class _Exchange:
    """Flushes the send buffer and collects results up to the sync."""

    def __init__(self, pgconn: pq.abc.PGconn) -> None:
        self._results: list[pq.abc.PGresult] = []
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._wire = Wire(pgconn, lambda: not self._done.done(), self._take, self._fail)

    async def done(self) -> list[pq.abc.PGresult]:
        self._wire.flush()
        await self._done
        return self._results

    def stop(self) -> None:
        self._wire.stop()

    def _take(self, result: pq.abc.PGresult) -> None:
        if result.status == pq.ExecStatus.PIPELINE_SYNC:
            self._done.set_result(None)
        else:
            self._results.append(result)

    def _fail(self, error: psycopg.Error) -> None:
        if not self._done.done():
            # Results that did arrive come first: they may hold the error that ended the session.
            if any(result.status not in SUCCEEDED for result in self._results):
                self._done.set_result(None)
            else:
                self._done.set_exception(error)


def _buffers(parameters: Sequence[bytes | None]) -> Sequence[Buffer | None]:
    return parameters


def _failure(name: str, result: pq.abc.PGresult) -> StatementFailed:
    state = result.error_field(pq.DiagnosticField.SQLSTATE) or b"08006"
    message = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or result.error_message
    return StatementFailed(name, state.decode(), message.decode("utf-8", "replace"))
