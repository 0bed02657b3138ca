"""The one idea: state is the fold of events, and a command decides events from states.

A decider is an `initial` state (None here: nothing has happened), `decide(states, command, …)` giving events or a
refusal, and `evolve(state, recorded)` giving the next state. Time, ids and who acts are arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

S = TypeVar("S")
E_co = TypeVar("E_co", covariant=True)

Sealed = dict[str, str]
"""A personal value, encrypted: opaque here but for its "fingerprint", which is equal for equal values of one person."""


class Recorded(Protocol[E_co]):
    """An event with what the log says of it."""

    @property
    def event(self) -> E_co: ...
    @property
    def event_id(self) -> str: ...
    @property
    def position(self) -> int: ...
    @property
    def version(self) -> int: ...
    @property
    def actor(self) -> str: ...
    @property
    def on_behalf_of(self) -> str | None: ...
    @property
    def recorded_at(self) -> datetime: ...


@dataclass(frozen=True, slots=True)
class Fold(Generic[S]):
    """How one category of streams is folded. `version` rises when `evolve` gives other states than before."""

    category: str
    version: int
    evolve: Callable[[S | None, Any], S]


@dataclass(frozen=True, slots=True)
class Selection:
    """Streams a command does not name: the first `limit` that the query `name` finds for `key`."""

    name: str
    key: str
    limit: int


@dataclass(frozen=True, slots=True)
class Repeat:
    """The command asks for what the event at (stream, version) already recorded."""

    stream: str
    version: int


Selected = Iterator[tuple[str, Any]]


def same(one: Sealed | None, other: Sealed | None) -> bool:
    """Whether two sealed values of one person hold the same plaintext."""
    if one is None or other is None:
        return one is other
    return one["fingerprint"] == other["fingerprint"]
