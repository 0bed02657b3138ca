"""The engine without HTTP: commands as the API makes them, sealed values and keyed hashes included, in process."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from typing import Any

import uvloop

from api.backend import Backend
from api.call import Call
from api.settings import Settings
from api.writes import About, Writes
from bench.rounds import MeasurementError, Reading, reading
from domain import client
from eventstore.errors import StoreError
from eventstore.vault.keys import DataKey
from eventstore.vault.vault import seal
from projections.queries import CONTEXTS

FULL_NAME = CONTEXTS["full_name"]
SCOPE = {"method": "POST", "path": "/clients"}

_numbers = itertools.count(1)


class EngineLoad:
    """A contender: `in_flight` callers of the writer, each submitting its next command when the last is answered.

    Every command is for a new stream, or with `hot_streams` for one of so many, in turn.
    """

    def __init__(self, name: str, settings: Settings, in_flight: int, hot_streams: int | None = None) -> None:
        self.name = name
        self.in_flight = in_flight
        self._settings = settings
        self._hot_streams = hot_streams
        self.committed = 0
        """Commands since the start."""

    def measure(self, seconds: float) -> Reading:
        """Load it for `seconds` in an event loop of its own, the first tenth of them unmeasured."""
        try:
            return uvloop.run(self._measure(seconds))
        except StoreError as error:
            raise MeasurementError(f"{self.name}: {type(error).__name__}: {error}") from error

    async def _measure(self, seconds: float) -> Reading:
        backend = Backend(self._settings)
        await backend.start(lambda _: None)
        try:
            submit = self._submitter(backend)
            await self._load(submit, seconds / 10)
            started = time.perf_counter()
            times = await self._load(submit, seconds)
            return reading(times, time.perf_counter() - started)
        finally:
            await backend.stop()

    async def _load(self, submit: Callable[[], Any], seconds: float) -> list[float]:
        clock, times = time.perf_counter, list[float]()
        end = clock() + seconds

        async def caller() -> None:
            while (began := clock()) < end:
                await submit()
                times.append(clock() - began)

        async with asyncio.TaskGroup() as callers:
            for _ in range(self.in_flight):
                callers.create_task(caller())
        self.committed += len(times)
        return times

    def _submitter(self, backend: Backend) -> Callable[[], Any]:
        writes, tenant_id = Writes(backend), backend.tenant_id

        def submit() -> Any:
            number = next(_numbers)
            of = number % self._hot_streams if self._hot_streams else number
            client_id, full_name, risk_profile = f"w-{of:012d}", b"Amina Patel", "moderate"
            body = {"client_id": client_id, "full_name": full_name.decode(), "risk_profile": risk_profile}

            def build(key: DataKey) -> client.RecordClient:
                return client.RecordClient(client_id, seal(key, tenant_id, FULL_NAME, full_name), risk_profile)

            key = b"w-%d" % number
            call = Call({**SCOPE, "headers": ((b"idempotency-key", key),)})
            call.body, call.idempotency_key = body, key.decode()
            return writes.submit(call, "/clients", About(client_id, build))

        return submit
