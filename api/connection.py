"""How a connection is held: bounds on what a caller may send before it is answered, and on how long it may take.

The parser's events only set a phase and a counter. Times are kept by a look at all connections now and then, so that a
request that comes whole costs neither a timer nor a clock.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from api.answer import NO_STORE, SECURITY_HEADERS
from api.limits import RequestLimits
from api.problems import Problem

BETWEEN, IN_HEADERS, IN_BODY = range(3)
LOBBY = 100
"""Connections beyond the limit that are still answered; any more are cut off."""
LOOKS = 20
"""Looks within the shortest time limit: how late a limit may be noticed."""
LONGEST_PAUSE = 0.5

# With the status line every answer begins, whoever makes it. Given as headers, these would be checked and joined anew each
# time, which takes longer than all else that bounds a request.
STATUS_LINE.update({status: line + SECURITY_HEADERS for status, line in STATUS_LINE.items()})


class Connections:
    """Those of one server: how many are served, and the look at how long each has kept it waiting."""

    def __init__(self, limits: RequestLimits) -> None:
        self.limits = limits
        self.served = 0
        self.all: set[Connection] = set()
        self._pause = min(LONGEST_PAUSE, limits.header_seconds / LOOKS, limits.body_seconds / LOOKS)
        self._timer: asyncio.TimerHandle | None = None

    def join(self, connection: Connection) -> bool:
        """Whether the connection is served."""
        self.all.add(connection)
        if self._timer is None:
            self._timer = connection.loop.call_later(self._pause, self._look, connection.loop)
        if self.served >= self.limits.connections:
            return False
        self.served += 1
        return True

    def leave(self, connection: Connection) -> None:
        """The connection has ended."""
        self.all.discard(connection)
        self.served -= connection.is_served

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for connection in tuple(self.all):
            connection.look(now)
        self._timer = loop.call_later(self._pause, self._look, loop) if self.all else None


class Connection(HttpToolsProtocol):
    """uvicorn's connection with bounds."""

    connections_of: Connections
    """Of the server: set by `bounded`."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._limits = self.connections_of.limits
        self.is_served = False
        self._phase = BETWEEN
        self._messages = 0
        self._quiet = 0
        """Bytes taken since the message began or its body last grew: headers, trailers, what frames chunks."""
        self._waits_for: tuple[int, int] | None = None
        self._since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self.is_served = self.connections_of.join(self)
        if not self.is_served and len(self.connections_of.all) - self.connections_of.served > LOBBY:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.connections_of.leave(self)
        super().connection_lost(exc)

    # what comes in

    def data_received(self, data: bytes) -> None:
        most = self._limits.header_bytes
        if self._phase == IN_BODY or len(data) <= most:
            self._feed(data)
            return
        # Headers without end are noticed while the parser holds little of them.
        for start in range(0, len(data), most):
            if self.transport.is_closing():
                return
            self._feed(data[start : start + most])

    def _feed(self, data: bytes) -> None:
        if not self.is_served:
            self._refuse(Problem("overloaded", "Too many connections are open"))
            return
        self._quiet += len(data)
        super().data_received(data)
        if self._quiet > self._limits.header_bytes:
            most = self._limits.header_bytes
            self._refuse(Problem("headers-too-large", f"The request's line and headers may have at most {most} bytes"))

    def on_message_begin(self) -> None:
        self._phase = IN_HEADERS
        self._messages += 1
        self._quiet = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._phase = IN_BODY
        self._quiet = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._quiet = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._phase = BETWEEN
        self._quiet = 0
        super().on_message_complete()

    # what does not come

    def look(self, now: float) -> None:
        """See what the connection waits for, and end it when that takes too long."""
        waits_for = self._awaited()
        if waits_for != self._waits_for or waits_for is None:
            self._waits_for, self._since = waits_for, now
            return
        taking = waits_for[1] == _ANSWER
        most = self._limits.body_seconds if taking or waits_for[1] == IN_BODY else self._limits.header_seconds
        if now - self._since <= most:
            return
        if taking:
            self.transport.abort()
        else:
            self._refuse(Problem("request-timeout"))

    def _awaited(self) -> tuple[int, int] | None:
        """What of which message the other side owes: its headers, its body, or to take the answer it asked for."""
        unsent = self.transport.get_write_buffer_size()
        if unsent:
            return unsent, _ANSWER  # as long as it grows less, it is being taken
        if self.transport.is_closing() or self.flow.read_paused:
            return None
        if self._phase == IN_BODY:
            return self._messages, IN_BODY
        cycle = self._current()
        answering = cycle is not None and not cycle.response_complete
        # uvicorn's own timer ends a connection that is idle after an answer.
        if answering or (self._phase == BETWEEN and self.timeout_keep_alive_task is not None):
            return None
        return self._messages, IN_HEADERS

    def _current(self) -> RequestResponseCycle | None:
        """The newest request and its answer; None before the first."""
        return self.cycle

    def _refuse(self, problem: Problem) -> None:
        """Answer and close; where an answer is under way already, let that one be the last."""
        if self.transport.is_closing():
            return
        cycle = self._current()
        if cycle is None or cycle.response_complete:
            started = self._phase == IN_BODY  # the request whose body this is has its answer
        elif self._phase == IN_BODY and not self.pipeline:
            started = cycle.response_started
        else:
            cycle.keep_alive = False
            self.flow.pause_reading()
            return
        if not started:
            self.transport.write(self._head_and_body(problem))
        self.transport.close()

    def _head_and_body(self, problem: Problem) -> bytes:
        answer = problem.answer("/")
        headers = [
            *self.server_state.default_headers,
            (b"content-type", answer.content_type),
            (b"content-length", b"%d" % len(answer.body)),
            (b"connection", b"close"),
            NO_STORE,
            *answer.headers,
        ]
        lines = b"".join(b"%s: %s\r\n" % header for header in headers)
        return STATUS_LINE[answer.status] + lines + b"\r\n" + answer.body


_ANSWER = -1


def bounded(limits: RequestLimits) -> type[Connection]:
    """The protocol of one server's connections."""
    return type("BoundedConnection", (Connection,), {"connections_of": Connections(limits)})
