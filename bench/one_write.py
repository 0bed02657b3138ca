"""One write at a time: a single keep-alive connection, the next request when the last is answered."""

from __future__ import annotations

import http.client
import itertools
import json
import time
from collections.abc import Callable
from types import TracebackType
from urllib.parse import urlsplit

from bench import credentials
from bench.rounds import MeasurementError, Reading, reading

_numbers = itertools.count(1)


class OneWrite:
    """A contender of `POST /clients`, written to by one caller."""

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        plain, self._headers = credentials.split(url)
        self._connection = http.client.HTTPConnection(urlsplit(plain).netloc, timeout=30)

    def write(self) -> None:
        """Record one new client. Raises OSError, and MeasurementError unless it is answered with 200."""
        unique = f"one-{next(_numbers):010d}"
        body = json.dumps({"client_id": unique, "full_name": "Amina Patel", "risk_profile": "moderate"})
        headers = {"Content-Type": "application/json", "Idempotency-Key": unique, **self._headers}
        try:
            self._connection.request("POST", "/clients", body.encode(), headers)
            answer = self._connection.getresponse()
            text = answer.read()
        except http.client.HTTPException as error:
            raise MeasurementError(f"{self.name}: {type(error).__name__}") from error
        if answer.status != 200:
            raise MeasurementError(f"{self.name} answered {answer.status}: {text[:200].decode(errors='replace')}")

    def measure(self, seconds: float) -> Reading:
        """Write for `seconds`, the first tenth of them unmeasured."""
        clock = time.perf_counter
        self._write_until(clock() + seconds / 10, clock)
        started = clock()
        times = self._write_until(started + seconds, clock)
        return reading(times, clock() - started)

    def _write_until(self, end: float, clock: Callable[[], float]) -> list[float]:
        times = []
        while (began := clock()) < end:
            self.write()
            times.append(clock() - began)
        return times

    def __enter__(self) -> OneWrite:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()
