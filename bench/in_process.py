"""The engine without HTTP: commands as the API makes them, sealed values and keyed hashes included.

Also a program that another tree's interpreter runs with that tree's packages: `python -P bench/in_process.py JSON`. So it
imports nothing of bench, and of the product only what earlier commits have too.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import uvloop

import api
from api.backend import Backend
from api.call import Call
from api.database import DEFAULT_TENANT
from api.settings import Settings
from api.writes import About, Writes
from domain import client
from eventstore.vault.keys import DataKey
from eventstore.vault.vault import seal
from projections.queries import CONTEXTS

FULL_NAME = CONTEXTS["full_name"]
SCOPE = {"method": "POST", "path": "/clients"}


@dataclass(frozen=True)
class Shape:
    """`in_flight` callers, each submitting its next command when the last is answered. Every command is for a new
    stream, or with `hot_streams` for one of so many, in turn. `followed`: the officer's index follows meanwhile."""

    in_flight: int
    hot_streams: int | None = None
    followed: bool = False


@dataclass(frozen=True)
class Found:
    """The times of all commands answered within `seconds`, and how many were committed, the warm-up's included."""

    times: list[float]
    seconds: float
    committed: int


async def measure(settings: Settings, shape: Shape, seconds: float, numbers: Iterator[int]) -> Found:
    """Load the engine for `seconds`, a tenth of them before that unmeasured. No number may come twice.

    Raises StoreError and what starting raises.
    """
    backend = _backend(settings, followed=shape.followed)
    await backend.start(lambda _: None)
    try:
        submit = _submitter(backend, shape, numbers)
        warm_up = await _load(submit, shape.in_flight, seconds / 10)
        started = time.perf_counter()
        times = await _load(submit, shape.in_flight, seconds)
        return Found(times, time.perf_counter() - started, len(warm_up) + len(times))
    finally:
        await backend.stop()


def _backend(settings: Settings, *, followed: bool) -> Backend:
    """Its tails run, or not. This program runs the code of other commits too: of such as did not know tenants."""
    if "followed" in inspect.signature(Backend).parameters:
        return Backend(settings, followed=followed)
    backend: Any = Backend(settings)
    if not followed:
        backend.tails = ()
    return cast(Backend, backend)


def _admission() -> Callable[[Call], None]:
    """Admits a call as the gate admits the local operator, whom it knows beforehand; where calls have a caller."""
    if not hasattr(Call, "admit"):
        return lambda call: None
    from api.identity.caller import local

    operator = local(DEFAULT_TENANT)
    return lambda call: call.admit(operator)


async def _load(submit: Callable[[], Any], in_flight: int, seconds: float) -> list[float]:
    clock, times = time.perf_counter, list[float]()
    end = clock() + seconds

    async def caller() -> None:
        while (began := clock()) < end:
            await submit()
            times.append(clock() - began)

    async with asyncio.TaskGroup() as callers:
        for _ in range(in_flight):
            callers.create_task(caller())
    return times


def _submitter(backend: Backend, shape: Shape, numbers: Iterator[int]) -> Callable[[], Any]:
    writes, tenant_id, hot_streams = Writes(backend), backend.tenant_id, shape.hot_streams
    admit = _admission()

    def submit() -> Any:
        number = next(numbers)
        of = number % hot_streams if hot_streams else number
        client_id, full_name, risk_profile = f"w-{of:012d}", b"Amina Patel", "moderate"
        body = {"client_id": client_id, "full_name": full_name.decode(), "risk_profile": risk_profile}

        def build(key: DataKey) -> client.RecordClient:
            return client.RecordClient(client_id, seal(key, tenant_id, FULL_NAME, full_name), risk_profile)

        key = b"w-%d" % number
        call = Call({**SCOPE, "headers": ((b"idempotency-key", key),)})
        admit(call)
        call.body, call.idempotency_key = body, key.decode()
        return writes.submit(call, "/clients", About(client_id, build))

    return submit


def main() -> None:
    """Measure as the one argument says; print what was found, and where the product's code lies, as JSON."""
    given = json.loads(sys.argv[1])
    settings = Settings(
        "127.0.0.1", 0, Path(given["data_dir"]), Path(given["state_dir"]), login_urls=given["login_urls"]
    )
    shape = Shape(given["in_flight"], given["hot_streams"])
    found = uvloop.run(measure(settings, shape, given["seconds"], itertools.count(given["first"])))
    assert api.__file__ is not None
    root = str(Path(api.__file__).resolve().parents[1])
    answer = {"root": root, "times": found.times, "seconds": found.seconds, "committed": found.committed}
    with open(sys.stdout.fileno(), "w", closefd=False) as out:  # buffered even with PYTHONUNBUFFERED: no short writes
        json.dump(answer, out)


if __name__ == "__main__":
    main()
