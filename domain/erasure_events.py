"""What happens to a client's holds and erasure, and what stands after it. On the client's own stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from domain.decider import Recorded, Sealed

NONE, REQUESTED, ERASED = STATUSES = ("none", "requested", "erased")

Standing = Mapping[str, Any]
"""What stands for and against an erasure: {"holds": {id: {"placed_by", "placed_at"}}, "records": {class: day},
"erasure": {"status", "legal_basis", "requested_by", "requested_for", "requested_at", "approved_by", "erased_at"} or null}."""

NOTHING: Standing = {"holds": {}, "records": {}, "erasure": None}


def status(standing: Standing) -> str:
    """`none`, `requested` or `erased`."""
    return NONE if standing["erasure"] is None else str(standing["erasure"]["status"])


@dataclass(frozen=True)
class ErasureEvent:
    client_id: str

    @property
    def subjects(self) -> tuple[str, ...]:
        return (self.client_id,)

    acts_on = None


@dataclass(frozen=True)
class LegalHoldPlaced(ErasureEvent):
    hold_id: str
    reason: Sealed


@dataclass(frozen=True)
class LegalHoldLifted(ErasureEvent):
    hold_id: str
    reason: Sealed


@dataclass(frozen=True)
class RetentionAssigned(ErasureEvent):
    """From now on the client has records of the class; the newest counts from the day."""

    record_class: str
    counts_from: str


@dataclass(frozen=True)
class ErasureRequested(ErasureEvent):
    legal_basis: str


@dataclass(frozen=True)
class ErasureWithdrawn(ErasureEvent):
    """The request is taken back."""


@dataclass(frozen=True)
class ErasureRefused(ErasureEvent):
    """`action`: request or approval; `cause`: legal-hold, retention-running, same-person or algorithm."""

    action: str
    cause: str
    holds: list[str]
    record_class: str | None
    until: str | None


@dataclass(frozen=True)
class ClientErased(ErasureEvent):
    """Whoever recorded this approved it; the key was destroyed with it."""

    legal_basis: str
    requested_by: str
    key_id: str


@dataclass(frozen=True)
class ClientErasedAgain(ErasureEvent):
    """A restore had brought the client back; `position` is that of the erasure in the history that was lost."""

    position: int


ERASING = frozenset({ClientErased.__name__, ClientErasedAgain.__name__})
"""Types of events with which the keys of their subjects are destroyed."""


def evolve(standing: Standing, recorded: Recorded[ErasureEvent]) -> Standing:
    """What stands after the event."""
    event, holds, at = recorded.event, standing["holds"], _text(recorded.recorded_at)
    match event:
        case LegalHoldPlaced():
            return {**standing, "holds": {**holds, event.hold_id: {"placed_at": at, "placed_by": recorded.actor}}}
        case LegalHoldLifted():
            return {**standing, "holds": {name: hold for name, hold in holds.items() if name != event.hold_id}}
        case RetentionAssigned():
            newest = max(event.counts_from, standing["records"].get(event.record_class, ""))
            return {**standing, "records": {**standing["records"], event.record_class: newest}}
        case ErasureRequested():
            return {**standing, "erasure": _requested(event.legal_basis, recorded, at)}
        case ErasureWithdrawn():
            return {**standing, "erasure": None}
        case ClientErased() | ClientErasedAgain():
            asked = standing["erasure"] or _requested(None, None, None)
            return {**standing, "erasure": {**asked, "status": ERASED, "approved_by": recorded.actor, "erased_at": at}}
    return standing


def _requested(legal_basis: str | None, recorded: Recorded[ErasureEvent] | None, at: str | None) -> dict[str, Any]:
    return {
        "status": REQUESTED,
        "legal_basis": legal_basis,
        "requested_by": None if recorded is None else recorded.actor,
        "requested_for": None if recorded is None else recorded.on_behalf_of,
        "requested_at": at,
        "approved_by": None,
        "erased_at": None,
    }


def _text(at: datetime) -> str:
    """RFC 3339 in UTC, six digits."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"
