"""Asking a server whether it answers, with a time limit on every step."""

import os
import selectors
import time
from pathlib import Path

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo
from psycopg.pq.abc import PGconn

# A server that is out of connection slots has finished its start and serves others.
_FULL_BUT_SERVING = ("too many clients already", "connection slots are reserved")


def why_not_answering(socket_dir: Path, port: int, timeout: float) -> str | None:
    """Return None when the server answers a query within timeout seconds, else the reason it did not.

    The blocking psycopg API cannot bound the wait for a query result on a unix socket (a stopped process accepts
    connections through its backlog and never answers), hence the asynchronous libpq calls.
    """
    deadline = time.monotonic() + timeout
    # The empty values keep PGHOSTADDR and PGOPTIONS of the calling process out.
    conninfo = make_conninfo(
        host=os.fspath(socket_dir), port=port, user="postgres", dbname="postgres",
        hostaddr="", options="", sslmode="disable", gssencmode="disable", application_name="fidelog probe",
    )  # fmt: skip
    connection = pq.PGconn.connect_start(os.fsencode(conninfo))
    try:
        reason = _connect(connection, deadline) or _select_one(connection, deadline)
    except psycopg.Error as error:
        reason = str(error)
    finally:
        connection.finish()
    if reason is not None and any(text in reason for text in _FULL_BUT_SERVING):
        return None
    return reason


def _connect(connection: PGconn, deadline: float) -> str | None:
    state = pq.PollingStatus.FAILED if connection.status == pq.ConnStatus.BAD else pq.PollingStatus.WRITING
    while state != pq.PollingStatus.OK:
        if state == pq.PollingStatus.FAILED:
            return _complaint(connection)
        if not _wait(connection, state == pq.PollingStatus.WRITING, deadline):
            return "it does not complete a connection"
        state = pq.PollingStatus(connection.connect_poll())
    return None


def _select_one(connection: PGconn, deadline: float) -> str | None:
    connection.send_query(b"select 1")
    connection.consume_input()
    while connection.is_busy():
        if not _wait(connection, False, deadline):
            return "it does not answer a query"
        connection.consume_input()
    result = connection.get_result()
    return None if result is not None and result.status == pq.ExecStatus.TUPLES_OK else _complaint(connection)


def _wait(connection: PGconn, for_writing: bool, deadline: float) -> bool:
    """Wait until the socket is ready; False when the deadline comes first."""
    # libpq may replace its socket between two steps, so each wait asks for it anew.
    with selectors.DefaultSelector() as selector:
        selector.register(connection.socket, selectors.EVENT_WRITE if for_writing else selectors.EVENT_READ)
        return bool(selector.select(max(0.0, deadline - time.monotonic())))


def _complaint(connection: PGconn) -> str:
    return connection.error_message.decode("utf-8", "replace").strip() or "unknown connection error"
