"""The sealed log for verifiers: checkpoint, tiles and entries, as c2sp.org/tlog-tiles has them."""

from __future__ import annotations

import asyncio
import gzip
import re

from api.answer import Answer, Header
from api.backend import Backend
from api.call import Call
from api.headers import ListHeaders
from api.lean import OCTETS, Operation
from api.problems import Problem
from eventstore.proof.errors import MalformedProof
from eventstore.proof.tiles import WIDTH, Tile
from eventstore.provision import TENANT

TEXT = b"text/plain; charset=utf-8"
FOR_SECONDS: Header = (b"cache-control", b"public, max-age=2")
FOR_EVER: Header = (b"cache-control", b"public, max-age=31536000, immutable")
FOR_WHO_ASKED: Header = (b"cache-control", b"private, max-age=31536000, immutable")

_TENANT = re.compile(TENANT, re.ASCII)
_GZIP = re.compile(r"(?:^|,)\s*(?:gzip|x-gzip)\s*(?:;\s*q=(?!0(?:\.0*)?\s*(?:,|$))[0-9.]+\s*)?(?=,|$)", re.IGNORECASE)

PARTIAL = "A partial tile is there for every checkpoint that was published, and no other; ask for the full one when it is gone."


class LogRoutes:
    """`/log`"""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def operations(self) -> list[Operation]:
        return [
            Operation(
                "GET", "/log/{tenant}/checkpoint", "The newest signed checkpoint", self.get_checkpoint, answer=None,
                tag="Log", problems=("not-found", "database-unavailable"),
                description="A signed note (c2sp.org/tlog-checkpoint), with the cosignatures of witnesses that came in for this very size; "
                "none yet, as a rule, while the log is written to. Public.",
            ),
            Operation(
                "GET", "/log/{tenant}/tile/entries/{bundle}", "A bundle of entries", self.get_entries, answer=None,
                tag="Log", media=OCTETS, headers=ListHeaders, problems=("not-found",),
                description=f"256 leaves (docs/spec/leaf.md), each after its length in two bytes. {PARTIAL}",
            ),
            Operation(
                "GET", "/log/{tenant}/tile/{tile}", "A tile of hashes", self.get_tile, answer=None,
                tag="Log", media=OCTETS, problems=("not-found", "database-unavailable"),
                description=f"`<level>/<index>[.p/<width>]`, 256 hashes or `width` of them. Public. {PARTIAL}",
            ),
        ]  # fmt: skip

    async def get_checkpoint(self, call: Call) -> Answer:
        tenant_id = self._tenant(call)
        data = await self._backend.tiled.checkpoint(tenant_id, self._origin(tenant_id))
        if data is None:
            raise _nothing()
        return Answer(200, data, content_type=TEXT, kept=FOR_SECONDS)

    async def get_tile(self, call: Call) -> Answer:
        tenant_id, tile = self._tenant(call), _tile(call.path_parameter("tile"))
        if tile.level is None:
            raise _nothing()
        data = await self._backend.tiled.tile(tenant_id, self._origin(tenant_id), tile)
        if data is None:
            raise _nothing()
        return Answer(200, data, content_type=OCTETS.encode(), kept=FOR_EVER)

    async def get_entries(self, call: Call) -> Answer:
        tenant_id, tile = self._tenant(call), _tile(f"entries/{call.path_parameter('bundle')}")
        if tenant_id != call.tenant_id:
            raise _nothing()
        found = await self._backend.tiled.bundle(tenant_id, self._origin(tenant_id), tile)
        if found is None:
            raise _nothing()
        call.shows = found.subjects
        last = tile.index * WIDTH + tile.width
        headers: list[Header] = [(b"vary", b"accept-encoding"), (b"fidelog-position", b"%d" % last)]
        data = found.data
        if _GZIP.search(call.headers.get(b"accept-encoding", b"").decode("latin-1")):
            data = await asyncio.to_thread(gzip.compress, data, 1, mtime=0)
            headers.append((b"content-encoding", b"gzip"))
        return Answer(200, data, headers, OCTETS.encode(), FOR_WHO_ASKED)

    def _tenant(self, call: Call) -> str:
        """Whose log the path names; whether there is one shows in what is found."""
        self._backend.require()
        tenant_id = call.path_parameter("tenant")
        if not _TENANT.fullmatch(tenant_id):
            raise _nothing()
        return tenant_id

    def _origin(self, tenant_id: str) -> str:
        return self._backend.logs.current(tenant_id).origin


def _tile(path: str) -> Tile:
    try:
        return Tile.parse(f"tile/{path}")
    except MalformedProof:
        raise _nothing() from None


def _nothing() -> Problem:
    """As for a path that no route has: nothing tells which tenants there are."""
    return Problem("not-found", "There is nothing at this path")
