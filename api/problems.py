"""Every error an answer can be, as RFC 9457 problem details. docs/errors.md explains each; a test compares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import orjson

from api.answer import Answer

Fault = Mapping[str, str | int]
"""{"pointer" | "parameter" | "offset", "message"}; the message never echoes a value."""

PROBLEMS: dict[str, tuple[int, str]] = {
    "malformed-json": (400, "The body is not well-formed JSON"),
    "unauthenticated": (401, "Who asks is not proven"),
    "forbidden": (403, "The caller may not do this"),
    "foreign-origin": (403, "The request comes from a foreign origin"),
    "not-found": (404, "No such resource"),
    "client-not-found": (404, "No such client"),
    "task-not-found": (404, "No such task"),
    "event-not-found": (404, "No such event"),
    "method-not-allowed": (405, "The resource does not have this method"),
    "request-timeout": (408, "The request did not come in time"),
    "task-conflict": (409, "The task exists or was completed with other content"),
    "wrong-state": (409, "The status does not allow this"),
    "stale-claim-token": (409, "The claim token is not the newest attempt's"),
    "legal-hold": (409, "A legal hold stands"),
    "retention-running": (409, "Records must still be kept"),
    "second-person-required": (409, "A second person must agree"),
    "client-erased": (410, "The client was erased"),
    "version-mismatch": (412, "The resource is at another version"),
    "body-too-large": (413, "The body is too large"),
    "payload-too-large": (413, "A JSON value is too large"),
    "unsupported-media-type": (415, "The body is not application/json"),
    "invalid-request": (422, "The request is not valid"),
    "idempotency-key-reused": (422, "The idempotency key was used for another request"),
    "rate-limited": (429, "The caller asks too often"),
    "headers-too-large": (431, "The request's headers are too large"),
    "internal-error": (500, "The server failed"),
    "overloaded": (503, "Too much is under way"),
    "database-unavailable": (503, "The database is not available"),
    "position-not-reached": (503, "The position is not reached yet"),
}

RETRY_AFTER = {"overloaded": "1", "database-unavailable": "2", "position-not-reached": "1"}
CONTENT_TYPE = b"application/problem+json"


def type_uri(slug: str) -> str:
    """The problem's stable type."""
    return f"urn:fidelog:problem:{slug}"


def instance(scope: Any) -> str:
    """The request's path as a URI reference: as it was sent, and anything that may not stand in one encoded."""
    return quote(scope["raw_path"].partition(b"?")[0], safe="%/:@!$&'()*+,;=~")


class Problem(Exception):
    """An answer that is an error. `detail` is for people; `errors` and `members` are for programs."""

    def __init__(
        self,
        slug: str,
        detail: str | None = None,
        *,
        errors: Sequence[Fault] = (),
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        self.slug = slug
        self.status, self.title = PROBLEMS[slug]
        self.detail = detail or self.title
        self.errors = errors
        self.headers = dict(headers or {})
        if slug in RETRY_AFTER:
            self.headers.setdefault("retry-after", RETRY_AFTER[slug])
        self.members = members
        super().__init__(f"{slug}: {self.detail}")

    def answer(self, instance: str, correlation_id: str | None = None) -> Answer:
        """The problem as an answer to the request for `instance` (its path)."""
        content: dict[str, Any] = {
            "type": type_uri(self.slug),
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "instance": instance,
        }
        if correlation_id is not None:
            content["correlation_id"] = correlation_id
        if self.errors:
            content["errors"] = list(self.errors)
        content.update(self.members)
        headers = [(name.encode(), value.encode()) for name, value in self.headers.items()]
        return Answer(self.status, orjson.dumps(content), headers, CONTENT_TYPE)


def invalid(*faults: Fault, detail: str = "The request is not valid") -> Problem:
    """A 422 that lists `faults`."""
    return Problem("invalid-request", detail, errors=faults)
