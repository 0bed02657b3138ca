"""Tasks: bodies and answers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.models.fields import Body, FreeJson, Identifier, Text, Uuid
from domain.task import DEFAULT_LEASE_SECONDS


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


class TasksOut(BaseModel):
    """A page of tasks; `next_cursor` is null on the last."""

    tasks: list[TaskOut]
    next_cursor: str | None


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
