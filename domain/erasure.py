"""Erasure of a client, and what stands against it: legal holds and retention.

One person asks, another approves; with the approval the client's key is destroyed. What stands against it is checked at
both steps, and a refusal that matters is recorded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from domain import retention
from domain.decider import Sealed
from domain.erasure_events import (
    ERASED,
    NONE,
    REQUESTED,
    ClientErased,
    ClientErasedAgain,
    ErasureEvent,
    ErasureRefused,
    ErasureRequested,
    ErasureWithdrawn,
    LegalHoldLifted,
    LegalHoldPlaced,
    RetentionAssigned,
    Standing,
    status,
)
from domain.refusals import ClientErased as Erased
from domain.refusals import ClientNotFound, ErasureState, HoldNotFound, HoldStands, Refusal

NATURAL_PERSON = "user:"
SHOWN_HOLDS = 20


class Person(NamedTuple):
    """Who acts, and for whom."""

    actor: str
    on_behalf_of: str | None = None

    @property
    def natural(self) -> bool:
        return self.actor.startswith(NATURAL_PERSON)

    @property
    def names(self) -> frozenset[str]:
        """Everybody on this side. Names that differ in case only are one person's."""
        return frozenset(name.casefold() for name in self if name is not None)


# Commands


@dataclass(frozen=True, slots=True)
class _OfClient:
    client_id: str

    selection = None

    @property
    def streams(self) -> tuple[str, ...]:
        return (f"client-{self.client_id}",)


@dataclass(frozen=True, slots=True)
class PlaceHold(_OfClient):
    """Nothing of the client may be erased until the hold is lifted."""

    hold_id: str
    reason: Sealed


@dataclass(frozen=True, slots=True)
class LiftHold(_OfClient):
    """The hold's reason is gone."""

    hold_id: str
    reason: Sealed


@dataclass(frozen=True, slots=True)
class RetainRecords(_OfClient):
    """There are records of the class, and the newest counts from the day (YYYY-MM-DD)."""

    record_class: str
    counts_from: str


@dataclass(frozen=True, slots=True)
class RequestErasure(_OfClient):
    legal_basis: str
    person: Person
    years: retention.Years


@dataclass(frozen=True, slots=True)
class WithdrawErasure(_OfClient):
    """The request is taken back."""


@dataclass(frozen=True, slots=True)
class ApproveErasure(_OfClient):
    """A second person agrees: the client is erased. `key_id` is that of the living key."""

    key_id: str
    person: Person
    years: retention.Years


@dataclass(frozen=True, slots=True)
class EraseAgain(_OfClient):
    """The erasure recorded at `position` of a history that a restore took back holds all the same."""

    position: int


ErasureCommand = PlaceHold | LiftHold | RetainRecords | RequestErasure | WithdrawErasure | ApproveErasure | EraseAgain

Events = tuple[tuple[str, ErasureEvent], ...]


def decide(standing: Standing | None, command: ErasureCommand, now: datetime) -> Events | Refusal:
    """`standing` is None when there is no such client; `now` is the time of recording."""
    if isinstance(command, EraseAgain):
        return _one(ClientErasedAgain(command.client_id, command.position))
    if standing is None:
        return ClientNotFound()
    if status(standing) == ERASED:
        return Erased()
    return _DECIDE[type(command)](standing, command, now)


def _one(event: ErasureEvent) -> Events:
    return ((f"client-{event.client_id}", event),)


def _place(standing: Standing, command: PlaceHold, now: datetime) -> Events | Refusal:
    if command.hold_id in standing["holds"]:
        return HoldStands()
    return _one(LegalHoldPlaced(command.client_id, command.hold_id, command.reason))


def _lift(standing: Standing, command: LiftHold, now: datetime) -> Events | Refusal:
    if command.hold_id not in standing["holds"]:
        return HoldNotFound()
    return _one(LegalHoldLifted(command.client_id, command.hold_id, command.reason))


def _retain(standing: Standing, command: RetainRecords, now: datetime) -> Events | Refusal:
    return _one(RetentionAssigned(command.client_id, command.record_class, command.counts_from))


def _request(standing: Standing, command: RequestErasure, now: datetime) -> Events | Refusal:
    if status(standing) != NONE:
        return ErasureState(status(standing))
    against = _against(standing, command, now, "request")
    return _one(against or ErasureRequested(command.client_id, command.legal_basis))


def _withdraw(standing: Standing, command: WithdrawErasure, now: datetime) -> Events | Refusal:
    if status(standing) != REQUESTED:
        return ErasureState(status(standing))
    return _one(ErasureWithdrawn(command.client_id))


def _approve(standing: Standing, command: ApproveErasure, now: datetime) -> Events | Refusal:
    if status(standing) != REQUESTED:
        return ErasureState(status(standing))
    request = standing["erasure"]
    asked = Person(request["requested_by"], request["requested_for"])
    if command.person.natural and not asked.names.isdisjoint(command.person.names):
        return _one(ErasureRefused(command.client_id, "approval", "same-person", [], None, None))
    against = _against(standing, command, now, "approval")
    erased = ClientErased(command.client_id, request["legal_basis"], request["requested_by"], command.key_id)
    return _one(against or erased)


def _against(
    standing: Standing, command: RequestErasure | ApproveErasure, now: datetime, action: str
) -> ErasureRefused | None:
    """What stands against it: an algorithm asks or approves, a hold, a class of records that must still be kept."""
    if not command.person.natural:
        return ErasureRefused(command.client_id, action, "algorithm", [], None, None)
    if standing["holds"]:
        holds = sorted(standing["holds"])[:SHOWN_HOLDS]
        return ErasureRefused(command.client_id, action, "legal-hold", holds, None, None)
    kept = retention.running(standing["records"], command.years, now)
    if kept is not None:
        return ErasureRefused(command.client_id, action, "retention-running", [], *kept)
    return None


_DECIDE: dict[type[Any], Callable[[Standing, Any, datetime], Events | Refusal]] = {
    PlaceHold: _place,
    LiftHold: _lift,
    RetainRecords: _retain,
    RequestErasure: _request,
    WithdrawErasure: _withdraw,
    ApproveErasure: _approve,
}
