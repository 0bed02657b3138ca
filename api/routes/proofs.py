"""Proofs for people: that an event is in the log, that one state of the log continues another; and exports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from api.answer import Answer, Header
from api.backend import Backend
from api.call import Call
from api.exporting import Asker, NotSealedYet, begin
from api.headers import ListHeaders
from api.lean import ZIP, Operation
from api.models.fields import Identifier, digits
from api.models.trail import ConsistencyOut
from api.problems import Problem, invalid
from api.streaming import StreamedAnswer
from api.trail import EventFilters
from eventstore.exporting.proving import Proofs, Published
from eventstore.proof.merkle import leaf_hash
from eventstore.proof.strict import base64_text
from eventstore.proof.tlog_proof import TlogProof
from eventstore.reading import MAX_POSITION
from eventstore.records import Command, Receipt

TEXT = b"text/plain; charset=utf-8"

Size = Annotated[int, Field(ge=1, le=MAX_POSITION), BeforeValidator(digits)]


class ConsistencyQuery(BaseModel):
    """Between which two sizes of the tree."""

    old: Annotated[Size, Field(description="Size of the older checkpoint.")]
    new: Annotated[
        Size | None, Field(description="Size of the newer one; the newest published checkpoint's if it is left out.")
    ] = None

    model_config = ConfigDict(extra="forbid")


class ExportQuery(EventFilters):
    """Which events are exported; without filters all."""

    client_id: Identifier | None = None
    old: Annotated[
        Size | None,
        Field(description="Size of a checkpoint that the reader has: the proof that the log continues it is enclosed."),
    ] = None


class ProofRoutes:
    """`/audit/events/{position}/proof`, `/audit/consistency`, `/audit/export`"""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def operations(self) -> list[Operation]:
        return [
            Operation(
                "GET", "/audit/events/{position}/proof", "Prove that an event is in the log", self.prove,
                answer=None, headers=ListHeaders, tag="Audit", problems=("event-not-found", "position-not-reached"),
                description="A c2sp.org/tlog-proof against the newest published checkpoint, with the cosignatures of "
                "witnesses. `Fidelog-Leaf-Hash` is what it proves. Of an event that is not sealed yet: 503.",
            ),
            Operation(
                "GET", "/audit/consistency", "Prove that the log continues an earlier state of it", self.connect,
                answer=ConsistencyOut, query=ConsistencyQuery, headers=ListHeaders, tag="Audit",
                problems=("position-not-reached",),
                description="RFC 9162, section 2.1.4, between the trees of two sizes.",
            ),
            Operation(
                "GET", "/audit/export", "Export events with everything that proves them", self.export,
                answer=None, media=ZIP, query=ExportQuery, headers=ListHeaders, tag="Audit",
                problems=("position-not-reached", "internal-error"),
                description="A ZIP archive that is checked offline (docs/spec/export.md). It is sent while it is made; one "
                "that was broken off is no archive. Whose data it shows, and the export itself, are recorded.",
            ),
        ]  # fmt: skip

    def _proofs(self) -> Proofs:
        return self._backend.proofs

    def _origin(self, tenant_id: str) -> str:
        return self._backend.logs.current(tenant_id).origin

    async def prove(self, call: Call) -> Answer:
        tenant_id, position = call.tenant_id, int(call.path_parameter("position"))
        published = await self._published(tenant_id)
        size = 0 if published is None else published.checkpoint.size
        if published is None or position > size:
            if position > await self._backend.log.head(tenant_id):
                raise Problem("event-not-found", "Event not found")
            raise Problem("position-not-reached", "The event is not sealed yet")
        tree, proofs = self._proofs().tree(tenant_id, size), self._proofs()
        hashes = tuple(await tree.inclusion(position - 1))
        hash_ = leaf_hash(await proofs.leaf(tenant_id, position))
        headers: list[Header] = [
            (b"fidelog-position", b"%d" % position),
            (b"fidelog-leaf-hash", base64_text(hash_).encode()),
        ]
        return Answer(200, TlogProof(position - 1, hashes, published.note.data).data, headers, TEXT)

    async def connect(self, call: Call) -> Answer:
        query: ConsistencyQuery = call.query
        tenant_id = call.tenant_id
        published = await self._published(tenant_id)
        size = 0 if published is None else published.checkpoint.size
        new = query.new or max(size, query.old)
        if query.old > new:
            raise invalid({"parameter": "old", "message": "must not be above new"})
        if new > size:
            if new > await self._backend.log.head(tenant_id):
                raise invalid({"parameter": "new", "message": "must not be above the newest position"})
            raise Problem("position-not-reached", "The log is not sealed so far yet")
        hashes = await self._proofs().tree(tenant_id, new).consistency(query.old)
        content = {"old": query.old, "new": new, "hashes": [base64_text(one) for one in hashes]}
        return Answer(200, orjson.dumps(content), [(b"fidelog-position", b"%d" % new)])

    async def _published(self, tenant_id: str) -> Published | None:
        return await self._proofs().newest(tenant_id, self._origin(tenant_id))

    async def export(self, call: Call) -> Answer:
        query: ExportQuery = call.query
        filters = query.filters(query.client_id)
        try:
            begun = await begin(self._backend, call.tenant_id, filters, query.old, self._asker(call))
        except ValueError as error:
            parameter = "old" if query.old is not None and query.decision_id is None else "decision_id"
            raise invalid({"parameter": parameter, "message": str(error)}) from None
        except NotSealedYet as error:
            raise Problem("position-not-reached", str(error).capitalize()) from None
        name = f'attachment; filename="fidelog-{call.tenant_id}-{begun.last}.zip"'.encode()
        headers = [(b"content-disposition", name), (b"fidelog-position", b"%d" % begun.last)]
        return StreamedAnswer(begun.chunks, headers, ZIP.encode())

    def _asker(self, call: Call) -> Asker:
        backend = self._backend

        async def submit(command: Command) -> Receipt:
            return await backend.internal.submit(
                call.tenant_id,
                call.actor,
                command,
                correlation_id=call.correlation_id,
                on_behalf_of=call.on_behalf_of,
            )

        async def read(clients: Sequence[str]) -> None:
            gate = backend.gate()
            assert gate is not None, "the request came through it"
            call.shows = clients
            await gate.record(call, "GET /audit/export")
            call.shows = ()  # it is on record

        key_id = None if call.caller is None else call.caller.credential
        return Asker(call.purpose, key_id, submit, read)
