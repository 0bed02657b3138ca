"""`eventsourcing`: an application of one aggregate, saved as its tutorial has it, in threads.

Its page "Persistence" has the PostgreSQL module configured by environment variables. Saving locks the table, one
transaction after the other, so the fewest threads that keep it busy serve it best: two. Database functions, which it offers to save round
trips, are on. The order, one argument of JSON: host, port, dbname, type, data, streams (0: each event in a new
aggregate), threads, and `seconds` or `number` of events.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event

WARM_UP_SECONDS = 0.3

order: dict[str, Any] = json.loads(sys.argv[1])


class Client(Aggregate):  # type: ignore[misc]  # untyped here: the package is optional
    """A client whose profile is recorded again and again."""

    @event("ClientOnboarded")  # type: ignore[untyped-decorator]
    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data

    @event("ClientProfileUpdated")  # type: ignore[untyped-decorator]
    def record(self, data: dict[str, Any]) -> None:
        self.data = data


class Load:
    """Saves one event a call."""

    def __init__(self) -> None:
        self.app: Any = Application(env=_environment())
        self._numbers = itertools.count()
        self.sent = 0

    def run(self, goes_on: Callable[[int], bool]) -> list[float]:
        """Threads that save while `goes_on(number)`; the times of all saves."""
        first = self.sent

        def caller(thread: int) -> list[float]:
            times: list[float] = []
            known: list[Client] = []
            while goes_on(first + next(self._numbers)):
                began = time.perf_counter()
                self._save(known, order["streams"] // order["threads"], len(times))
                times.append(time.perf_counter() - began)
            return times

        with ThreadPoolExecutor(order["threads"]) as pool:
            times = [one for found in pool.map(caller, range(order["threads"])) for one in found]
        self.sent += len(times)
        self._numbers = itertools.count()
        return times

    def _save(self, known: list[Client], streams: int, number: int) -> None:
        """Each thread has aggregates of its own, so none is saved by two at once."""
        if streams and len(known) == streams:
            client = known[number % streams]
            client.record(order["data"])
        else:
            client = Client(order["data"])
            known.append(client) if streams else None
        self.app.save(client)


def _environment() -> dict[str, str]:
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_HOST": order["host"],
        "POSTGRES_PORT": str(order["port"]),
        "POSTGRES_DBNAME": order["dbname"],
        "POSTGRES_USER": "postgres",
        "POSTGRES_PASSWORD": "",
        "POSTGRES_POOL_SIZE": str(order["threads"]),
        "POSTGRES_ENABLE_DB_FUNCTIONS": "yes",
    }


def _until(seconds: float) -> Callable[[int], bool]:
    end = time.perf_counter() + seconds
    return lambda number: time.perf_counter() < end


def main() -> None:
    """Measure, and print the answer."""
    load = Load()
    if "seconds" in order:
        load.run(_until(WARM_UP_SECONDS))
    started = time.perf_counter()
    times = load.run(_until(order["seconds"]) if "seconds" in order else lambda number: number < order["number"])
    seconds = time.perf_counter() - started
    print(json.dumps({"count": len(times), "seconds": seconds, "sent": load.sent, "times": times}))
    load.app.close()


if __name__ == "__main__":
    main()
