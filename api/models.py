"""Bodies, queries and answers: each pydantic model both validates and documents."""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from domain.client import RISK_PROFILES
from domain.task import DEFAULT_LEASE_SECONDS

IDENTIFIER = r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$"
UUID = r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"
MAX_FREE_JSON_BYTES = 32_768

_BIDI_OVERRIDES = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def _full_name(value: str) -> str:
    """NFC, outer white space trimmed, 1 to 140 characters, nothing that hides or reorders text."""
    name = unicodedata.normalize("NFC", value).strip()
    if not 1 <= len(name) <= 140:
        raise ValueError("must have 1 to 140 characters")
    if not name.isprintable() and any(unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} for c in name):
        raise ValueError("must not contain control characters")
    if not name.isascii() and not _BIDI_OVERRIDES.isdisjoint(name):
        raise ValueError("must not contain bidirectional override characters")
    return name


def _no_nul(value: str) -> str:
    if "\x00" in value:
        raise ValueError("must not contain NUL")
    return value


def digits(value: object) -> object:
    """An integer in a query string is written in digits, and in no other way Python would accept."""
    if isinstance(value, str) and not re.fullmatch(r"[0-9]{1,19}", value, re.ASCII):
        raise ValueError("must be an integer")
    return value


def _lower(value: str) -> str:
    return value.lower()


Identifier = Annotated[str, StringConstraints(pattern=IDENTIFIER)]
Uuid = Annotated[str, StringConstraints(pattern=UUID), AfterValidator(_lower)]
FullName = Annotated[
    str,
    AfterValidator(_full_name),
    Field(
        description="1 to 140 characters, without control or bidirectional override characters, when normalised (NFC) and "
        "trimmed. Personal data: stored encrypted only.",
        json_schema_extra={"minLength": 1},
    ),
]
Limit = Annotated[int, Field(ge=1, le=500), BeforeValidator(digits)]
"""How many entries a page of a list may hold."""
RiskProfile = Literal["conservative", "moderately_conservative", "moderate", "growth", "aggressive"]
FreeJson = Annotated[
    dict[str, Any],
    Field(description="Any JSON object of at most 32,768 bytes as compact JSON. Personal data: stored encrypted only."),
]

assert RiskProfile.__args__ == RISK_PROFILES  # type: ignore[attr-defined]  # a Literal's values


class Body(BaseModel):
    """Unknown fields are refused; nothing is coerced."""

    model_config = ConfigDict(extra="forbid", strict=True, regex_engine="rust-regex")


class ClientIn(Body):
    """A client as the article has it."""

    client_id: Identifier
    full_name: FullName
    risk_profile: RiskProfile

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"client_id": "client-001", "full_name": "Amina Patel", "risk_profile": "moderate"}
        }
    )


class ClientOut(BaseModel):
    """A client."""

    client_id: str
    full_name: str
    risk_profile: str

    model_config = ClientIn.model_config


class TaskIn(Body):
    """A task for an agent."""

    task_id: Uuid
    client_id: Identifier
    agent_name: Identifier
    payload: FreeJson
    priority: Annotated[int, Field(ge=1, le=5, description="1 is worked on first.")] = 3

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "task_id": "550e8400-e29b-41d4-a716-446655440000",
                "client_id": "client-001",
                "agent_name": "rebalancing_agent",
                "payload": {"objective": "review allocation"},
            }
        }
    )


class TaskStatusOut(BaseModel):
    """A task's id and status."""

    task_id: str
    status: str

    model_config = ConfigDict(
        json_schema_extra={"example": {"task_id": "550e8400-e29b-41d4-a716-446655440000", "status": "pending"}}
    )


class TaskOut(BaseModel):
    """A task. Times are RFC 3339, UTC."""

    task_id: str
    client_id: str
    agent_name: str
    status: Literal["pending", "claimed", "completed", "failed", "cancelled"]
    priority: int
    attempt: int
    payload: dict[str, Any]
    result: dict[str, Any] | None
    error: str | None
    claimed_by: str | None
    lease_expires_at: str | None
    created_at: str
    updated_at: str


class ClaimIn(Body):
    """Which tasks to take, and for how long."""

    agent_name: Identifier
    limit: Annotated[int, Field(ge=1, le=100)] = 1
    lease_seconds: Annotated[int, Field(ge=5, le=3600)] = DEFAULT_LEASE_SECONDS
    wait_seconds: Annotated[int, Field(ge=0, le=0, description="Waiting for a task is not offered yet.")] = 0

    model_config = ConfigDict(
        json_schema_extra={"example": {"agent_name": "rebalancing_agent", "limit": 1, "lease_seconds": 60}}
    )


class ClaimedTaskOut(TaskOut):
    """A task with the token that completes it."""

    claim_token: str


class ClaimOut(BaseModel):
    """The tasks taken; empty when none is pending."""

    tasks: list[ClaimedTaskOut]


class ResultIn(Body):
    """A task's result. Without a claim token a pending task is claimed and completed at once."""

    claim_token: Uuid | None = None
    result: FreeJson

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "claim_token": "0197c9a0-5f3e-7000-8000-000000000000",
                "result": {
                    "action": "rebalance",
                    "target_allocation": {"equities": 60, "bonds": 30, "cash": 10},
                    "reason": "Risk profile is moderate",
                },
            }
        }
    )


class ClientWithTasksOut(BaseModel):
    """A client, and the client's open tasks where they were asked for."""

    client_id: str
    full_name: str
    risk_profile: str
    open_tasks: list[TaskOut] | None = None

    model_config = ClientIn.model_config


class TasksOut(BaseModel):
    """A page of tasks; `next_cursor` is null on the last."""

    tasks: list[TaskOut]
    next_cursor: str | None


Text = Annotated[
    str,
    StringConstraints(min_length=1, max_length=4_000),
    AfterValidator(_no_nul),
    Field(description="Personal data: stored encrypted only."),
]


class FailureIn(Body):
    """Why the work failed. `retryable` says whether trying again might help."""

    claim_token: Uuid
    error: Text
    retryable: bool = False

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"claim_token": "0197c9a0-5f3e-7000-8000-000000000000", "error": "no price for CH0012221716"}
        }
    )


class ReleaseIn(Body):
    """A task given back, and why."""

    claim_token: Uuid
    reason: Text | None = None

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"claim_token": "0197c9a0-5f3e-7000-8000-000000000000", "reason": "shutting down"}
        }
    )


class CancelIn(Body):
    """Why the task is not needed any more."""

    reason: Text | None = None

    model_config = ConfigDict(json_schema_extra={"example": {"reason": "the client moved to another adviser"}})


class EventOut(BaseModel):
    """An event as recorded; personal values opened for whoever may read them."""

    actor: str
    causation_id: str | None
    command_id: str
    correlation_id: str
    data: dict[str, Any]
    effective_at: str | None
    event_id: str
    idempotency_key: str | None
    on_behalf_of: str | None
    position: int
    recorded_at: str
    request_hash: str | None
    schema_version: int
    stream: str
    subjects: list[str]
    type: str
    version: int


class EventsOut(BaseModel):
    """A page of events; `next_cursor` is null on the last."""

    events: list[EventOut]
    next_cursor: str | None


class TimelineEventOut(EventOut):
    """An event with a readable line, which holds no personal value."""

    title: str


class TimelineOut(BaseModel):
    """A page of a client's timeline; `next_cursor` is null on the last."""

    events: list[TimelineEventOut]
    next_cursor: str | None


class StatusOut(BaseModel):
    """How the server is."""

    status: str


class TailOut(BaseModel):
    """A tail: the last event it handled, and how many it has not. `fault` only when it stands still."""

    name: str
    position: int
    lag: int
    fault: str | None = None


class ReadyOut(StatusOut):
    """That the server can be used. For a caller with a credential, and the local operator, how far what follows the
    tenant's log has got."""

    tails: list[TailOut] | None = None


class Fault(BaseModel):
    """Where a request is at fault, and why."""

    pointer: str | None = None
    parameter: str | None = None
    offset: int | None = None
    message: str


class ProblemOut(BaseModel):
    """RFC 9457 problem details. The types are listed in docs/errors.md."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    correlation_id: str | None = None
    errors: list[Fault] | None = None
