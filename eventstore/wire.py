"""The wire of a connection in libpq's pipeline mode: what was queued goes out, and results come in, as its socket allows.

psycopg's own pipeline waits on the socket at every `execute`; a batch of ten statements would wait twenty times. This
drives the same libpq calls (`psycopg.pq`), woken by the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import psycopg
from psycopg import pq

SUCCEEDED = frozenset({pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK})
"""How the result of a statement that was carried out is marked."""


class Wire:
    """Reads from the moment it is made until it is stopped.

    As long as `awaits` gives something true, a result is to come: each is handed to `take`, in the order of what was
    sent. An error on the way, `take`'s own included, is told to `broke`; whoever made the wire then stops it.
    """

    def __init__(
        self,
        pgconn: pq.abc.PGconn,
        awaits: Callable[[], object],
        take: Callable[[pq.abc.PGresult], None],
        broke: Callable[[psycopg.Error], None],
    ) -> None:
        self._pgconn = pgconn
        self._socket = pgconn.socket
        self._awaits = awaits
        self._take = take
        self._broke = broke
        self._loop = asyncio.get_running_loop()
        self._writing = False
        # Before anything is sent: a server that waits for us to read would never take the rest.
        self._loop.add_reader(self._socket, self._on_readable)

    def flush(self) -> None:
        """Send what is queued; what the socket does not take now goes when it can. Raises psycopg.Error."""
        waiting = bool(self._pgconn.flush())
        if waiting != self._writing:
            self._writing = waiting
            if waiting:
                self._loop.add_writer(self._socket, self._on_writable)
            else:
                self._loop.remove_writer(self._socket)

    def stop(self) -> None:
        """Neither read nor write any more."""
        self._loop.remove_reader(self._socket)
        if self._writing:
            self._writing = False
            self._loop.remove_writer(self._socket)

    def _on_writable(self) -> None:
        try:
            self.flush()
        except psycopg.Error as error:
            self._broke(error)

    def _on_readable(self) -> None:
        try:
            self._pgconn.consume_input()
            self._collect()
        except psycopg.Error as error:
            self._broke(error)

    def _collect(self) -> None:
        nothing = 0
        while self._awaits() and not self._pgconn.is_busy():
            result = self._pgconn.get_result()
            if result is not None:
                nothing = 0
                self._take(result)
            elif (nothing := nothing + 1) > 1:  # two in a row: libpq awaits nothing more
                raise psycopg.OperationalError("the connection is closed")
