"""`fidelog serve`: the port is bound first, then the database starts; stopped by SIGINT or SIGTERM, exit 0."""

from __future__ import annotations

import asyncio
import socket

import uvicorn

from api.app import Fidelog
from api.backend import Backend
from api.hosting import Server, address, allow_files, config_of, listen, stop_on_signals
from api.logs import log_to_stderr
from api.notices import notice
from api.settings import Settings

FIRST_KEY = (
    "callers need a credential here and there is no API key yet; make the first one: "
    "fidelog keys create --actor user:<you> --role operator"
)


def bind(settings: Settings) -> socket.socket:
    """The listening socket. Raises SettingsError when the address cannot be had."""
    return listen(settings.host, settings.port, "FIDELOG_PORT")


async def serve(settings: Settings) -> None:
    """Serve until a signal. Raises SettingsError and what starting the database raises."""
    log_to_stderr()
    allow_files(settings.limits.connections)
    backend = Backend(settings)
    server = Server(server_config(Fidelog(backend)))
    stop_on_signals(server, backend.end_waits)
    listener = bind(settings)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await _start(backend, server)
        if not server.should_exit:
            if not settings.keyless and backend.directory.empty:
                notice(FIRST_KEY)
            print(f"Fidelog is ready at {address(settings.host, listener)}", flush=True)
        await serving
    finally:
        server.should_exit = True
        await asyncio.gather(serving, return_exceptions=True)
        await backend.stop()
        listener.close()


async def _start(backend: Backend, server: Server) -> None:
    """Start the database; a signal meanwhile gives up waiting for it."""
    starting = asyncio.create_task(backend.start(notice))
    while not starting.done() and not server.should_exit:
        await asyncio.wait({starting}, timeout=0.1)
    if starting.done():
        await starting
    else:
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)


def server_config(app: Fidelog) -> uvicorn.Config:
    """How uvicorn serves the application."""
    return config_of(app, app.intake.limits)
