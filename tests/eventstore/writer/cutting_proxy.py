"""A proxy before PostgreSQL's socket that cuts a real connection at a chosen moment: a COMMIT on its way."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from psycopg.conninfo import conninfo_to_dict

from eventstore.database import Database

Moment = Literal["before", "after"]
"""Cut before the COMMIT reaches the server, or after the server has carried it out but before its answer is back."""

COMMIT = b"\x00commit\x00"
"""A Bind message's names: the unnamed portal, the prepared statement `commit`."""
READY = b"Z\x00\x00\x00\x05"


class CuttingProxy:
    """Cuts the first `cuts` connections that send a COMMIT; later ones pass."""

    def __init__(self, socket: str, moment: Moment, cuts: int) -> None:
        self._socket = socket
        self._moment = moment
        self.cuts = cuts
        self.commits = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_unix_connection(self._socket)
        try:
            answers = asyncio.ensure_future(self._pump(server_reader, writer))
            while chunk := await reader.read(1 << 16):
                if COMMIT in chunk and b"B" in chunk:
                    self.commits += 1
                    if self.cuts > 0:
                        self.cuts -= 1
                        answers.cancel()
                        await asyncio.gather(answers, return_exceptions=True)
                        if self._moment == "after":
                            server_writer.write(chunk)
                            await self._until_ready(server_reader)
                        return
                server_writer.write(chunk)
                await server_writer.drain()
        finally:
            writer.close()
            server_writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(1 << 16):
            writer.write(chunk)
            await writer.drain()

    async def _until_ready(self, reader: asyncio.StreamReader) -> None:
        seen = b""
        while READY not in seen:
            chunk = await reader.read(1 << 16)
            assert chunk, "the server carried out the COMMIT"
            seen += chunk


@asynccontextmanager
async def cutting(database: Database, moment: Moment, cuts: int = 1) -> AsyncIterator[tuple[str, CuttingProxy]]:
    """The writer's URL through a proxy, and the proxy."""
    url = database.url("writer")
    host, port = conninfo_to_dict(url)["host"], conninfo_to_dict(url).get("port", "5432")
    proxy = CuttingProxy(f"{host}/.s.PGSQL.{port}", moment, cuts)
    with tempfile.TemporaryDirectory(prefix="fdl-") as folder:
        server = await asyncio.start_unix_server(proxy.serve, Path(folder) / f".s.PGSQL.{port}")
        try:
            yield url.replace(quote(str(host), safe=""), quote(folder, safe="")), proxy
        finally:
            server.close()
