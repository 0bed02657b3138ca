"""From a request to an envelope, and from a receipt to the headers every write answers with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any, NamedTuple

import orjson

from api.answer import Answer, Header
from api.backend import Backend
from api.call import Call
from api.problems import Problem
from eventstore.records import Command, Envelope, ExpectedVersion, Receipt, RecordedEvent, Repeated, Sealing
from eventstore.vault.keys import DataKey

Build = Callable[[DataKey], Command]
"""A command with its personal values sealed under the key."""


class About(NamedTuple):
    """The person a command's values are about, and how the command is built under that person's key."""

    subject: str
    build: Build


class Writes:
    """Submits commands for the routes."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def submit(
        self, call: Call, path: str, about: About | Command, expected: ExpectedVersion | None = None
    ) -> Receipt:
        """The command's receipt, first or repeated. `path` is the request's, its ids in canonical form.

        Raises StoreError.
        """
        backend = self._backend
        envelope = self._envelope(call, path, about, expected)
        started = perf_counter()
        try:
            answer = await backend.writer.submit(envelope)
        finally:
            backend.metrics.wrote(perf_counter() - started)
        if isinstance(answer, Repeated):
            events = await backend.log.command(call.tenant_id, answer.stream, answer.version)
            key = envelope.sealing.key if envelope.sealing is not None else None
            return Receipt(events, replayed=True, key=key)
        return answer

    def _envelope(self, call: Call, path: str, about: About | Command, expected: ExpectedVersion | None) -> Envelope:
        backend, principal = self._backend, call.principal
        tenant_id, command_id, key, vault = call.tenant_id, backend.ids(), call.idempotency_key, backend.vault
        correlation_id = call.correlation_id = call.correlation_id or command_id
        kind = "internal" if key is None else "caller"
        recognised_by = vault.idempotency_key(tenant_id, principal, kind, key or command_id)
        # P5: method, path, principal and the body as parsed, keys sorted, no defaults added.
        request = f"{call.scope['method']}\n{path}\n{principal}\n".encode() + orjson.dumps(
            call.body, option=orjson.OPT_SORT_KEYS
        )
        sealing: Sealing | None = None
        if isinstance(about, About):
            sealing = Sealing(about.subject, vault.key_for_sealing(tenant_id, about.subject), about.build, request)
            command, request_hash = sealing.bind(sealing.key)
        else:
            command, request_hash = about, vault.request_hash(tenant_id, request)
        return Envelope(
            # By place: a name each would cost as much again as the whole object.
            tenant_id, call.actor, command, command_id, recognised_by, request_hash, correlation_id,
            None, call.on_behalf_of, expected, sealing, len(request),
        )  # fmt: skip


def write_headers(receipt: Receipt, entity_tag: str | None = None) -> list[Header]:
    """ETag, Fidelog-Position, the correlation id recorded, and whether the answer is a repeat."""
    headers: list[Header] = []
    if receipt.events:
        last = receipt.events[-1]
        headers.append((b"fidelog-position", b"%d" % last.position))
    if entity_tag is not None:
        headers.append((b"etag", entity_tag.encode()))
    if receipt.replayed:
        headers.append((b"idempotency-replayed", b"true"))
    return headers


def written(status: int, content: Any, receipt: Receipt, entity_tag: str | None = None) -> Answer:
    """A write's answer."""
    return Answer(status, orjson.dumps(content), write_headers(receipt, entity_tag))


def recorded_refusal(receipt: Receipt, problem: Problem) -> Problem:
    """A refusal that is on record, with the position of its event."""
    problem.headers |= {name.decode(): value.decode() for name, value in write_headers(receipt)}
    problem.members["correlation_id"] = receipt.events[-1].correlation_id
    return problem


def last_of(events: Sequence[RecordedEvent], *kinds: type[Any]) -> RecordedEvent:
    """The last event of one of the kinds."""
    return next(event for event in reversed(events) if isinstance(event.event, kinds))
