"""A keeper's connection for replay: blocking calls in binary, and portals that are read a batch ahead."""

from __future__ import annotations

import select
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg import pq
from psycopg.abc import Buffer
from psycopg.adapt import Loader, Transformer
from psycopg.errors import error_from_result
from psycopg.types.string import ByteaBinaryLoader

from eventstore import arrays
from eventstore.statements import Statement
from eventstore.writer.frame import BEGIN_SNAPSHOT, COMMIT, HEAD, ROLLBACK, SET_TENANT

Row = tuple[Any, ...]
Call = tuple[Statement, Sequence[bytes | None]]
"""A statement with its binary parameters."""

BATCH = 500
"""Rows fetched at a time: events and rows of the largest size allowed still fit in memory several times over."""

_SETTINGS = (
    # As the writer has them: plans that stay right on tables that were never analysed. Streams come in index order.
    "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;"
    "SET enable_sort = off; SET enable_incremental_sort = off; SET max_parallel_workers_per_gather = 0; SET jit = off;"
    "SET lock_timeout = '500ms';"
)
_IDLE = {
    # A stopped process must not hold a tenant: its session ends, and the lock with it. Nobody is told of a replaced row
    # before the last of its range, and that one's commit is waited for (healing.DURABLE), so no other waits for the disk
    # under the lock. A plan made for the very arrays of a batch is no better than any other, and making it took longer
    # than what it is for.
    True: (
        "SET idle_in_transaction_session_timeout = '3s'; SET synchronous_commit = off;"
        "SET plan_cache_mode = force_generic_plan"
    ),
    # Who only reads may have to wait until what it found was printed.
    False: "SET idle_in_transaction_session_timeout = '10min'",
}


class _AnyInstant(Loader):
    """Instants, also those that Python cannot hold, which only damage can bring: these as text."""

    format = pq.Format.BINARY

    def load(self, data: Buffer) -> datetime | str:
        microseconds = int.from_bytes(bytes(data), "big", signed=True)
        try:
            return datetime(2000, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
        except OverflowError:
            return "infinity" if microseconds > 0 else "-infinity"


class Session:
    """One connection, for one thread. json comes as the bytes of its text. Raises psycopg.Error.

    `locks` is for the one whose transactions take the tenant's lock.
    """

    def __init__(self, keeper_url: str, *, locks: bool = False) -> None:
        self._connection = psycopg.connect(keeper_url, autocommit=True)
        self._connection.execute((_SETTINGS + _IDLE[locks]).encode())
        self._connection.adapters.register_loader("json", ByteaBinaryLoader)
        self._pgconn = self._connection.pgconn
        self._transformer = Transformer(self._connection)
        cursor = self._connection.cursor()
        cursor.adapters.register_loader("timestamptz", _AnyInstant)
        self._patient = Transformer(cursor)
        self._prepared: set[str] = set()
        self._asked: Portal | None = None
        self._readable = select.poll()
        self._readable.register(self._pgconn.socket, select.POLLIN)
        self._writable = select.poll()
        self._writable.register(self._pgconn.socket, select.POLLIN | select.POLLOUT)

    def call(self, wanted: Statement, parameters: Sequence[bytes | None] = ()) -> list[Row]:
        """Run a statement with binary parameters; its rows."""
        self._settle()
        self._prepare(wanted)
        formats = [pq.Format.BINARY] * len(parameters)
        values: Any = parameters  # psycopg's stub of this one call forgets null
        result = self._pgconn.exec_prepared(wanted.name.encode(), values, formats, pq.Format.BINARY)
        return self._rows(self._sound(result))

    def trip(self, calls: Sequence[Call]) -> list[list[Row]]:
        """Run the statements in one round trip; the rows of each. After one that fails no other is run."""
        self._settle()
        for wanted, _ in calls:
            self._prepare(wanted)
        self._pgconn.enter_pipeline_mode()
        try:
            for wanted, parameters in calls:
                formats = [pq.Format.BINARY] * len(parameters)
                self._pgconn.send_query_prepared(
                    wanted.name.encode(), _buffers(parameters), formats, result_format=pq.Format.BINARY
                )
            self._pgconn.pipeline_sync()
            self._flush()
            results = [self._next_result() for _ in calls]
            self._next_result()  # of the end of the trip
        finally:
            self._pgconn.exit_pipeline_mode()
        return [self._rows(self._sound(result)) for result in results]

    def _flush(self) -> None:
        """Send all that libpq holds; what the server says meanwhile is taken in, so that neither waits for the other."""
        while self._pgconn.flush():
            for _, event in self._writable.poll():
                if event & select.POLLIN:
                    self._pgconn.consume_input()

    def _prepare(self, wanted: Statement) -> None:
        if wanted.name not in self._prepared:
            self._sound(self._pgconn.prepare(wanted.name.encode(), wanted.sql.encode()))
            self._prepared.add(wanted.name)

    def open(self, name: str, declare: Statement, parameters: Sequence[bytes | None]) -> Portal:
        """The rows of a cursor that the statement declares under `name`, within a transaction."""
        self._settle()
        formats = [pq.Format.BINARY] * len(parameters)
        self._sound(self._pgconn.exec_params(declare.sql.encode(), _buffers(parameters), None, formats))
        return Portal(self, f"FETCH FORWARD {BATCH} FROM {name}".encode())

    def ask(self, portal: Portal) -> None:
        """Send for a portal's next batch, without waiting for it."""
        self._settle()
        self._pgconn.send_query_params(portal.fetch, None, result_format=pq.Format.BINARY)
        self._asked = portal

    def answer(self, portal: Portal) -> list[Row]:
        """The batch that was asked for."""
        self._settle()
        assert portal.result is not None, "asked for before"
        return self._rows(portal.result)

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open, failed or not."""
        return self._pgconn.transaction_status != pq.TransactionStatus.IDLE

    def close(self) -> None:
        """Close the connection; an open transaction ends without a commit."""
        self._connection.close()

    def _settle(self) -> None:
        """Take what was asked for off the connection, so that it is free."""
        portal, self._asked = self._asked, None
        if portal is None:
            return
        portal.result = self._next_result()
        if portal.result is not None:
            self._sound(portal.result)

    def _next_result(self) -> pq.abc.PGresult | None:
        """The one result of a statement that was sent."""
        while self._pgconn.is_busy():
            self._readable.poll()  # here, not in libpq, which would keep this process's other threads from running
            self._pgconn.consume_input()
        result = self._pgconn.get_result()
        if result is None or result.status != pq.ExecStatus.PIPELINE_SYNC:
            while self._pgconn.get_result() is not None:
                pass
        return result

    def _sound(self, result: pq.abc.PGresult | None) -> pq.abc.PGresult:
        if result is None:
            raise psycopg.OperationalError("the connection was lost")
        if result.status in {pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK}:
            return result
        raise error_from_result(result)

    def _rows(self, result: pq.abc.PGresult) -> list[Row]:
        if not result.ntuples:
            return []
        try:
            self._transformer.set_pgresult(result)
            return self._transformer.load_rows(0, result.ntuples, tuple)
        except psycopg.DataError:
            self._patient.set_pgresult(result)
            return self._patient.load_rows(0, result.ntuples, tuple)


class Portal:
    """A server-side cursor's rows, batch by batch; the next is on its way while one is worked on."""

    def __init__(self, session: Session, fetch: bytes) -> None:
        self._session = session
        self.fetch = fetch
        self.result: pq.abc.PGresult | None = None

    def __iter__(self) -> Iterator[list[Row]]:
        self._session.ask(self)
        while True:
            rows = self._session.answer(self)
            if len(rows) < BATCH:
                yield rows
                return
            self._session.ask(self)
            yield rows


@contextmanager
def snapshot(session: Session, tenant_id: str) -> Iterator[int]:
    """Everything read inside is of one moment; gives the tenant's newest position at that moment."""
    session.call(BEGIN_SNAPSHOT)
    try:
        session.call(SET_TENANT, (tenant_id.encode(),))
        yield int(session.call(HEAD, (tenant_id.encode(),))[0][0])
    except psycopg.OperationalError:
        raise  # there may be no connection to roll back on
    except BaseException:
        session.call(ROLLBACK)
        raise
    session.call(COMMIT)


def text(value: str | None) -> bytes | None:
    """A text parameter."""
    return None if value is None else value.encode()


int8 = arrays.int8


def _buffers(parameters: Sequence[bytes | None]) -> Sequence[Buffer | None]:
    return parameters
