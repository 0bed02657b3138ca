"""Writes at a fixed pace, however long each is answered: `POST /clients` on keep-alive connections, open loop."""

from __future__ import annotations

import asyncio
import itertools
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import uvloop

from bench.rounds import MeasurementError

CONNECTIONS = 128

_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n")
_POSITION = re.compile(rb"\r\nfidelog-position: (\d+)\r\n")
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Written:
    """One write: when it was sent, when it was answered (seconds of `time.monotonic`), and its event's position."""

    sent: float
    answered: float
    position: int


def write_paced(url: str, per_second: int, seconds: float) -> Sequence[Written]:
    """Write at this pace. Raises MeasurementError when a write fails, or the pace was not kept."""
    written = uvloop.run(_paced(url, per_second, seconds))
    reached = len(written) / (max(write.answered for write in written) - written[0].sent)
    if reached < 0.98 * per_second:
        raise MeasurementError(f"{reached:,.0f} writes a second were answered where {per_second:,} were asked for")
    return written


async def _paced(url: str, per_second: int, seconds: float) -> Sequence[Written]:
    address = urlsplit(url)
    idle: asyncio.Queue[_Caller] = asyncio.Queue()
    callers = [await _Caller.connect(str(address.hostname), int(address.port or 80)) for _ in range(CONNECTIONS)]
    for one in callers:
        idle.put_nowait(one)
    written: list[Written] = []

    async def write(caller: _Caller) -> None:
        written.append(await caller.write())
        idle.put_nowait(caller)

    try:
        async with asyncio.TaskGroup() as writes:
            started = time.monotonic()
            for number in range(round(per_second * seconds)):
                if (ahead := started + number / per_second - time.monotonic()) > 0:
                    await asyncio.sleep(ahead)
                writes.create_task(write(await idle.get()))
    except* (OSError, EOFError, MeasurementError) as errors:
        raise MeasurementError(f"a paced write failed: {errors.exceptions[0]}") from errors
    finally:
        for one in callers:
            one.close()
    return sorted(written, key=lambda write: write.sent)


class _Caller:
    """A keep-alive connection with one request under way at most."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str) -> None:
        self._reader = reader
        self._writer = writer
        self._host = host

    @classmethod
    async def connect(cls, host: str, port: int) -> _Caller:
        return cls(*await asyncio.open_connection(host, port), f"{host}:{port}")

    def close(self) -> None:
        self._writer.close()

    async def write(self) -> Written:
        """Record one new client."""
        unique = f"paced-{next(_numbers):010d}"
        body = f'{{"client_id":"{unique}","full_name":"Amina Patel","risk_profile":"moderate"}}'
        head = (
            f"POST /clients HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nIdempotency-Key: {unique}\r\n\r\n"
        )
        sent = time.monotonic()
        self._writer.write((head + body).encode())
        answer = await self._reader.readuntil(b"\r\n\r\n")
        answered = time.monotonic()
        length, position = _LENGTH.search(answer), _POSITION.search(answer)
        if not answer.startswith(b"HTTP/1.1 200 ") or length is None or position is None:
            raise MeasurementError(answer.split(b"\r\n")[0].decode())
        await self._reader.readexactly(int(length[1]))
        return Written(sent, answered, int(position[1]))
