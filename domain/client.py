"""A client: profile as the article has it, confirmed by every upsert. Stream `client-{client_id}`, where the client's
holds and erasure stand too (domain/erasure_events.py)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from domain import erasure, erasure_events
from domain.decider import Fold, Recorded, Sealed, same
from domain.refusals import ClientErased, Refusal

CATEGORY = "client"
RISK_PROFILES = ("conservative", "moderately_conservative", "moderate", "growth", "aggressive")


def stream(client_id: str) -> str:
    """The client's stream."""
    return f"client-{client_id}"


# Commands


class RecordClient(NamedTuple):
    """Onboard the client, or update or confirm its profile."""

    client_id: str
    full_name: Sealed
    risk_profile: str

    @property
    def streams(self) -> tuple[str, ...]:
        return (f"client-{self.client_id}",)

    @property
    def selection(self) -> None:
        return None


# Events: each carries every value of the answer, so that an answer can be given again from the event alone.


@dataclass(frozen=True)
class ClientOnboarded:
    client_id: str
    full_name: Sealed
    risk_profile: str

    @property
    def subjects(self) -> tuple[str, ...]:
        return (self.client_id,)

    acts_on = None


@dataclass(frozen=True)
class ClientProfileUpdated(ClientOnboarded):
    """At least one value differs from before."""


@dataclass(frozen=True)
class ClientProfileConfirmed(ClientOnboarded):
    """The same values were sent again; an officer asks who confirmed what, when."""


ClientEvent = ClientOnboarded | ClientProfileUpdated | ClientProfileConfirmed


# State


class Client(NamedTuple):
    """As its events left it."""

    client_id: str
    full_name: Sealed
    risk_profile: str
    created_at: datetime
    updated_at: datetime
    """Of the profile."""
    standing: erasure_events.Standing | None = None
    """What stands for and against an erasure; None when there was never anything."""

    @property
    def erased(self) -> bool:
        return self.standing is not None and erasure_events.status(self.standing) == erasure_events.ERASED


NEVER_KNOWN: Sealed = {"erased": "true"}
"""In place of the name of somebody who was erased, and whom a restored log does not know."""


def decide(states: Mapping[str, Any], command: RecordClient) -> tuple[tuple[str, ClientEvent], ...] | Refusal:
    """An upsert is always recorded, also when it changes nothing."""
    name = f"client-{command.client_id}"
    client: Client | None = states[name]
    kind: type[ClientOnboarded]
    if client is None:
        kind = ClientOnboarded
    elif client.erased:
        return ClientErased()
    elif same(client.full_name, command.full_name) and client.risk_profile == command.risk_profile:
        kind = ClientProfileConfirmed
    else:
        kind = ClientProfileUpdated
    return ((name, kind(command.client_id, command.full_name, command.risk_profile)),)


def decide_erasure(
    states: Mapping[str, Any], command: erasure.ErasureCommand, now: datetime
) -> erasure.Events | Refusal:
    """What is decided about a client's holds and erasure."""
    client: Client | None = states[stream(command.client_id)]
    return erasure.decide(None if client is None else client.standing or erasure_events.NOTHING, command, now)


def evolve(state: Client | None, recorded: Recorded[Any]) -> Client:
    event, at = recorded.event, recorded.recorded_at
    if isinstance(event, erasure_events.ErasureEvent):
        known = state or Client(event.client_id, NEVER_KNOWN, "", at, at)
        return known._replace(standing=erasure_events.evolve(known.standing or erasure_events.NOTHING, recorded))
    if state is None:
        return Client(event.client_id, event.full_name, event.risk_profile, at, at)
    return Client(event.client_id, event.full_name, event.risk_profile, state.created_at, at, state.standing)


FOLD = Fold(CATEGORY, 1, evolve)
