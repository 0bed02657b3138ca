"""Holds, retention and erasure of a client: bodies and answers."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from api.models.fields import Body, Identifier, Text
from domain.erasure_events import STATUSES
from domain.retention import FLOORS

RecordClass = Literal["account", "recommendation"]
assert set(RecordClass.__args__) == set(FLOORS)  # type: ignore[attr-defined]  # a Literal's values
Status = Literal["none", "requested", "erased"]
assert Status.__args__ == STATUSES  # type: ignore[attr-defined]  # a Literal's values


def _day(value: str) -> str:
    try:
        date.fromisoformat(value)
    except ValueError:
        raise ValueError("is not a day of the calendar") from None
    return value


Day = Annotated[
    str,
    StringConstraints(pattern=r"^[12][0-9]{3}-[0-9]{2}-[0-9]{2}$"),
    AfterValidator(_day),
    Field(json_schema_extra={"format": "date"}),
]
LegalBasis = Annotated[
    str,
    StringConstraints(pattern=r"^[!-~](?:[ -~]{0,198}[!-~])?$"),
    Field(
        description="Why the law asks for it, 1–200 printable ASCII characters without personal data: it stays on record "
        "after the erasure."
    ),
]


class HoldIn(Body):
    """A legal hold: until it is lifted nothing of the client is erased."""

    hold_id: Annotated[Identifier | None, Field(description="The matter's id; one is made if none is given.")] = None
    reason: Text

    model_config = ConfigDict(json_schema_extra={"example": {"hold_id": "matter-4711", "reason": "pending litigation"}})


class LiftIn(Body):
    """Why the hold is not needed any more."""

    reason: Text

    model_config = ConfigDict(json_schema_extra={"example": {"reason": "settled"}})


class RetentionIn(Body):
    """A class of records that the client has, kept elsewhere or here, and the day from which the newest counts."""

    record_class: RecordClass
    counts_from: Day

    model_config = ConfigDict(json_schema_extra={"example": {"record_class": "account", "counts_from": "2026-01-31"}})


class ErasureIn(Body):
    """A request that a client be erased."""

    legal_basis: LegalBasis

    model_config = ConfigDict(json_schema_extra={"example": {"legal_basis": "GDPR Art. 17(1)(b), request 2026-118"}})


class ApprovalIn(Body):
    """Nothing but the approval itself."""

    model_config = ConfigDict(json_schema_extra={"example": {}})


class WithdrawalIn(Body):
    """Nothing but the withdrawal itself."""

    model_config = ConfigDict(json_schema_extra={"example": {}})


class HoldStatusOut(BaseModel):
    """What became of a legal hold."""

    client_id: str
    hold_id: str
    status: Literal["placed", "lifted"]


class RetentionOut(BaseModel):
    """Until when the class's records are kept."""

    client_id: str
    record_class: RecordClass
    counts_from: str


class ErasureStatusOut(BaseModel):
    """How far the client's erasure has got."""

    client_id: str
    status: Status


class HoldOut(BaseModel):
    """A legal hold that stands."""

    hold_id: str
    placed_by: str
    placed_at: str


class RecordsOut(BaseModel):
    """A class of records, the day from which the newest counts, and the day until which it is kept."""

    record_class: RecordClass
    counts_from: str
    kept_until: str


class ErasureOut(ErasureStatusOut):
    """The client's erasure, and what stands against it. Without personal data, and there for an erased client too."""

    legal_basis: str | None
    requested_by: str | None
    requested_at: str | None
    approved_by: str | None
    erased_at: str | None
    holds: list[HoldOut]
    records: list[RecordsOut]
