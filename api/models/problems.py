"""Problem details: what every refusal is answered with."""

from __future__ import annotations

from pydantic import BaseModel


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
