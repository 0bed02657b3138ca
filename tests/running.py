"""A real HTTP server of this process: the application under uvicorn in a thread of its own, on a loopback port."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx
import uvicorn

from api.app import Fidelog
from api.backend import Backend
from api.serve import bind, server_config
from api.settings import Settings
from eventstore.writer.engine import Engine
from eventstore.writer.queues import Limits

T = TypeVar("T")


class RunningApi:
    """A served application; `client` talks to it over HTTP."""

    def __init__(self, settings: Settings, limits: Limits | None = None, engine: Engine | None = None) -> None:
        self.backend = Backend(settings, limits, engine)
        self._socket = bind(settings)
        self.app = Fidelog(self.backend)
        self._server = uvicorn.Server(server_config(self.app))
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.client = httpx.Client(base_url=self.url, timeout=30)

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        try:
            await self.backend.start(lambda message: None)
            serving = asyncio.create_task(self._server.serve(sockets=[self._socket]))
            while not self._server.started:
                await asyncio.sleep(0.005)
            self._ready.set()
            await serving
        except BaseException as error:
            self._failure = error
            self._ready.set()
        finally:
            await self.backend.stop(2.0)

    def start(self) -> RunningApi:
        self._thread.start()
        self._ready.wait(60)
        if self._failure is not None:
            raise self._failure
        return self

    def stop(self) -> None:
        self.client.close()
        self._server.should_exit = True
        self._loop.call_soon_threadsafe(self.backend.end_waits)
        self._thread.join(30)
        self._socket.close()
        assert not self._thread.is_alive(), "the server stops"

    @property
    def connections(self) -> int:
        """How many connections the server holds."""
        return len(self._server.server_state.connections)

    def run(self, make: Callable[[], Any]) -> Any:
        """Run a coroutine in the server's own event loop and give its result."""
        return asyncio.run_coroutine_threadsafe(make(), self._loop).result(60)


@contextmanager
def running_api(settings: Settings, limits: Limits | None = None, engine: Engine | None = None) -> Iterator[RunningApi]:
    """A server that is ready, and stopped at the end."""
    api = RunningApi(settings, limits, engine).start()
    try:
        yield api
    finally:
        api.stop()
