"""Administration: API keys of the caller's tenant. Every change is an event on `log-admin`."""

from __future__ import annotations

from typing import Any

import orjson

from api.answer import Answer
from api.backend import Backend
from api.call import Call
from api.headers import CommandHeaders, ListHeaders
from api.identity.actors import kind
from api.identity.directory import ended
from api.lean import Operation
from api.models.admin import IssuedKeyOut, KeyIn, KeysOut, KeyStatusOut
from api.writes import Writes, last_of, written
from domain import administration


class AdminRoutes:
    """`/admin`"""

    def __init__(self, backend: Backend, writes: Writes) -> None:
        self._backend = backend
        self._writes = writes

    def operations(self) -> list[Operation]:
        return [
            Operation(
                "POST", "/admin/keys", "Issue an API key", self.issue,
                answer=IssuedKeyOut, status=201, body=KeyIn, headers=CommandHeaders, tag="Administration",
                problems=("not-found", "wrong-state"),
                description="The key is shown in this answer and never again: a repeat of the request has null in its "
                "place. A key that `replaces` another takes its actor and roles; both hold until the overlap is over.",
            ),
            Operation(
                "GET", "/admin/keys", "List API keys", self.list_keys,
                answer=KeysOut, headers=ListHeaders, tag="Administration",
                description="Newest first, those that ended too; the secrets are not kept.",
            ),
            Operation(
                "DELETE", "/admin/keys/{key_id}", "Revoke an API key", self.revoke,
                answer=KeyStatusOut, headers=CommandHeaders, tag="Administration",
                problems=("not-found", "wrong-state", "idempotency-key-reused", "overloaded"),
                description="Every process refuses it within a second.",
            ),
        ]  # fmt: skip

    async def issue(self, call: Call) -> Answer:
        body: KeyIn = call.input
        key, command = self._backend.directory.draw(
            call.tenant_id, body.actor, body.roles, body.valid_seconds, body.replaces, body.overlap_seconds
        )
        receipt = await self._writes.submit(call, "/admin/keys", command)
        self._backend.directory.outdate()
        recorded = last_of(receipt.events, administration.ApiKeyIssued)
        event: administration.ApiKeyIssued = recorded.event
        content = {
            "key_id": event.key_id,
            "key": None if receipt.replayed else str(key),
            "actor": event.actor,
            "roles": event.roles,
            "issued_at": administration.text(recorded.recorded_at),
            "expires_at": event.expires_at,
            "replaces": event.replaces,
        }
        return written(201, content, receipt)

    async def list_keys(self, call: Call) -> Answer:
        found, used = await self._backend.queries.api_keys(call.tenant_id)
        listed = [_content(key_id, key, used.get(key_id)) for key_id, key in found.items()]
        listed.sort(key=lambda key: (key["issued_at"], key["key_id"]), reverse=True)
        return Answer(200, orjson.dumps({"keys": listed}))

    async def revoke(self, call: Call) -> Answer:
        key_id = call.path_parameter("key_id")
        command = administration.RevokeKey(key_id)
        receipt = await self._writes.submit(call, f"/admin/keys/{key_id}", command)
        self._backend.directory.outdate()
        return written(200, {"key_id": key_id, "status": "revoked"}, receipt)


def _content(key_id: str, key: administration.Key, last_used_at: str | None) -> dict[str, Any]:
    return {
        "key_id": key_id,
        "actor": key["actor"],
        "kind": kind(key["actor"]),
        "roles": key["roles"],
        "status": ended(key) or "active",
        "issued_at": key["issued_at"],
        "expires_at": key["expires_at"],
        "revoked_at": key["revoked_at"],
        "replaces": key["replaces"],
        "last_used_at": last_used_at,
    }
