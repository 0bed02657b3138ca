"""One line of JSON for each request, for those who ask for it (FIDELOG_REQUEST_LOG). Routes by their template: neither
paths nor queries nor values get here."""

from __future__ import annotations

from time import time
from typing import BinaryIO

import orjson

from api.logs import at


class RequestLog:
    """Writes to a stream, which is as fast as whoever reads it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(
        self, method: str, route: str | None, status: int, seconds: float, correlation_id: str | None, actor: str | None
    ) -> None:
        """One request that was answered; `route` is None where there is nothing."""
        line = orjson.dumps(
            {
                "time": at(time()),
                "level": "info",
                "logger": "requests",
                "method": method,
                "route": route,
                "status": status,
                "ms": round(seconds * 1000, 3),
                "correlation_id": correlation_id,
                "actor": actor,
            },
            option=orjson.OPT_APPEND_NEWLINE,
        )
        self._stream.write(line)
        self._stream.flush()
