"""`fidelog serve`: the port is bound first, then the database starts; stopped by SIGINT or SIGTERM, exit 0."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import socket
from collections.abc import Generator

import uvicorn

from api.app import Fidelog
from api.backend import Backend
from api.connection import LOBBY, bounded
from api.logs import log_to_stderr
from api.notices import notice
from api.settings import Settings, SettingsError

DRAIN_SECONDS = 10
RECEIVE_BUFFER_BYTES = 64 << 10
OTHER_FILES = 100
"""Open files besides connections of callers: those to the database, locks, libraries."""

FIRST_KEY = (
    "callers need a credential here and there is no API key yet; make the first one: "
    "fidelog keys create --actor user:<you> --role operator"
)


def bind(settings: Settings) -> socket.socket:
    """The listening socket. Raises SettingsError when the address cannot be had."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # The protocol is named: asyncio turns Nagle's algorithm off only for sockets that say they are TCP.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Of every connection: what a caller sends faster than it is read waits there, not here.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        listener.bind((settings.host, settings.port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"cannot listen on {settings.host}:{settings.port} ({error.strerror}); choose another FIDELOG_PORT"
        ) from error
    listener.setblocking(False)
    return listener


class _Server(uvicorn.Server):
    """Signals are ours: the database stops after the last answer, and the exit status is 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def _allow_files(connections: int) -> None:
    """Every connection is an open file, and often only 1,024 are allowed unless one asks for more."""
    wanted = connections + LOBBY + OTHER_FILES
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed == resource.RLIM_INFINITY or allowed >= wanted:
        return
    possible = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (possible, most))
    if possible < wanted:
        notice(f"only {possible} files may be open (ulimit -n), fewer than {connections} connections need; raise it")


async def serve(settings: Settings) -> None:
    """Serve until a signal. Raises SettingsError and what starting the database raises."""
    log_to_stderr()
    _allow_files(settings.limits.connections)
    backend = Backend(settings)
    server = _Server(server_config(Fidelog(backend)))
    _on_signals(server, backend)
    listener = bind(settings)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await _start(backend, server)
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        if not server.should_exit:
            if not settings.keyless and backend.directory.empty:
                notice(FIRST_KEY)
            print(f"Fidelog is ready at http://{host}:{listener.getsockname()[1]}", flush=True)
        await serving
    finally:
        server.should_exit = True
        await asyncio.gather(serving, return_exceptions=True)
        await backend.stop()
        listener.close()


async def _start(backend: Backend, server: _Server) -> None:
    """Start the database; a signal meanwhile gives up waiting for it."""
    starting = asyncio.create_task(backend.start(notice))
    while not starting.done() and not server.should_exit:
        await asyncio.wait({starting}, timeout=0.1)
    if starting.done():
        await starting
    else:
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)


def _on_signals(server: _Server, backend: Backend) -> None:
    def stop() -> None:
        if server.should_exit:
            os._exit(1)  # a second signal: at once, whatever is under way; what was acknowledged is durable
        server.should_exit = True
        backend.end_waits()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop)


def server_config(app: Fidelog) -> uvicorn.Config:
    """How uvicorn serves the application."""
    return uvicorn.Config(
        app,
        http=bounded(app.intake.limits),
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
