"""What serves an ASGI application: the socket, the bounds of its connections, and the signals that end it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import socket
from collections.abc import Callable, Generator
from typing import Any

import uvicorn

from api.connection import LOBBY, bounded
from api.limits import RequestLimits
from api.notices import notice
from api.settings import SettingsError

DRAIN_SECONDS = 10
RECEIVE_BUFFER_BYTES = 64 << 10
OTHER_FILES = 100
"""Open files besides connections of callers: those to the database, locks, libraries."""


def listen(host: str, port: int, variable: str) -> socket.socket:
    """A socket that listens there; `variable` is the port's setting. Raises SettingsError when it cannot."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named: asyncio turns Nagle's algorithm off only for sockets that say they are TCP.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Of every connection: what a caller sends faster than it is read waits there, not here.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise SettingsError(f"cannot listen on {host}:{port} ({error.strerror}); choose another {variable}") from error
    listener.setblocking(False)
    return listener


def address(host: str, listener: socket.socket) -> str:
    """The URL under which the socket is reached."""
    return f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"


class Server(uvicorn.Server):
    """Signals are ours: the database stops after the last answer, and the exit status is 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def allow_files(connections: int) -> None:
    """Every connection is an open file, and often only 1,024 are allowed unless one asks for more."""
    wanted = connections + LOBBY + OTHER_FILES
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed == resource.RLIM_INFINITY or allowed >= wanted:
        return
    possible = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (possible, most))
    if possible < wanted:
        notice(f"only {possible} files may be open (ulimit -n), fewer than {connections} connections need; raise it")


def stop_on_signals(server: Server, stopping: Callable[[], None]) -> None:
    """SIGINT and SIGTERM end the server after its last answer; `stopping` is called first."""

    def stop() -> None:
        if server.should_exit:
            os._exit(1)  # a second signal: at once, whatever is under way; what was acknowledged is durable
        server.should_exit = True
        stopping()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop)


def config_of(app: Callable[..., Any], limits: RequestLimits) -> uvicorn.Config:
    """How uvicorn serves an ASGI application."""
    return uvicorn.Config(
        app,
        http=bounded(limits),
        ws="none",
        lifespan="off",
        interface="asgi3",
        access_log=False,
        log_level="critical",  # the routes log what matters; a cancelled request at the end does not
        server_header=False,
        date_header=True,
        proxy_headers=False,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        timeout_keep_alive=75,
    )
