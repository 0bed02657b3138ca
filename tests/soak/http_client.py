"""A small HTTP/1.1 client: bytes out, one answer back. It costs little, so that the load comes from few cores."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson

SECONDS = 30.0
"""As long as an answer may take before the connection counts as broken."""


class NoAnswer(Exception):
    """The connection ended before the answer was whole: what became of the request is unknown."""


class NotSent(NoAnswer):
    """There was no connection to send the request on."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers with names in lower case, body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body's value."""
        return orjson.loads(self.body)

    @property
    def position(self) -> int | None:
        """Fidelog-Position."""
        text = self.headers.get("fidelog-position")
        return None if text is None else int(text)

    @property
    def replayed(self) -> bool:
        """Whether it says that it is a repeat."""
        return self.headers.get("idempotency-replayed") == "true"

    @property
    def slug(self) -> str:
        """The problem's name, empty when it is none."""
        if self.headers.get("content-type") != "application/problem+json":
            return ""
        return str(self.json()["type"]).removeprefix("urn:fidelog:problem:")


class Connection:
    """One connection, made when first needed and again after it broke; one request at a time."""

    def __init__(self, url: str, seconds: float = SECONDS) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self._host, self._port, self._seconds = parts.hostname, parts.port or 80, seconds
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self, path: str) -> Answer:
        """GET."""
        return await self.request("GET", path)

    async def post(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> Answer:
        """POST JSON."""
        return await self.request("POST", path, body, headers)

    async def request(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send a request and take its answer. Raises NoAnswer."""
        content = b"" if body is None else orjson.dumps(body)
        lines = [f"{method} {path} HTTP/1.1", f"host: {self._host}:{self._port}"]
        if body is not None:
            lines += ["content-type: application/json", f"content-length: {len(content)}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        return await self.exchange(("\r\n".join(lines) + "\r\n\r\n").encode() + content)

    async def exchange(self, request: bytes) -> Answer:
        """Send bytes that are a whole request and take its answer. Raises NoAnswer, NotSent."""
        try:
            reader, writer = await self.open()
        except OSError as error:
            raise NotSent(type(error).__name__) from error
        try:
            async with asyncio.timeout(self._seconds):
                writer.write(request)
                answer = await read_answer(reader)
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            self.close()
            raise NoAnswer(type(error).__name__) from error
        except BaseException:
            self.close()
            raise
        if answer.headers.get("connection") == "close":
            self.close()
        return answer

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The connection's two sides. Raises OSError. One that the server ended while nobody used it (75 s) is made anew."""
        if self._streams is not None and self._streams[0].at_eof():
            self.close()
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port, limit=1 << 22)
        return self._streams

    def close(self) -> None:
        """Cut it off."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None


async def read_answer(reader: asyncio.StreamReader, *, with_body: bool = True) -> Answer:
    """The next answer, interim ones (1xx) passed over. Raises IncompleteReadError, OSError."""
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *rest = head[:-4].decode("latin-1").split("\r\n")
        status = int(first.split(" ", 2)[1])
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
        if status >= 200:
            break
    body = b""
    if with_body and status not in {204, 304}:
        if headers.get("transfer-encoding") == "chunked":
            body = await _chunks(reader)
        elif "content-length" in headers:
            body = await reader.readexactly(int(headers["content-length"]))
        else:
            body = await reader.read()
    return Answer(status, headers, body)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    parts = []
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        parts.append((await reader.readexactly(size + 2))[:-2])
    await reader.readuntil(b"\r\n")
    return b"".join(parts)
