"""Every way a command can be refused: a closed set of types, each carrying what the caller needs to go on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClientNotFound:
    """No such client; `pointer` is where the request named it, if in its body."""

    pointer: str | None = None


@dataclass(frozen=True, slots=True)
class ClientErased:
    """The client was erased."""


@dataclass(frozen=True, slots=True)
class HoldNotFound:
    """No such legal hold stands on the client."""


@dataclass(frozen=True, slots=True)
class HoldStands:
    """The legal hold stands already."""


@dataclass(frozen=True, slots=True)
class ErasureState:
    """The erasure is at another step: `none` (nobody asked for it) or `requested`."""

    status: str


@dataclass(frozen=True, slots=True)
class TaskNotFound:
    """No such task."""


@dataclass(frozen=True, slots=True)
class TaskConflict:
    """The task exists, or was completed, with other content."""

    detail: str


@dataclass(frozen=True, slots=True)
class WrongState:
    """The task's status does not allow the command."""

    status: str


@dataclass(frozen=True, slots=True)
class KeyNotFound:
    """The tenant has no such API key; `pointer` is where the request named it, if in its body."""

    pointer: str | None = None


@dataclass(frozen=True, slots=True)
class KeyEnded:
    """The API key is `revoked` or `expired` already."""

    how: str


@dataclass(frozen=True, slots=True)
class KeyExists:
    """The API key's id is taken: ids are drawn at random, so draw again."""


@dataclass(frozen=True, slots=True)
class TenantExists:
    """The tenant's log has begun already."""


Refusal = (
    ClientNotFound
    | ClientErased
    | HoldNotFound
    | HoldStands
    | ErasureState
    | TaskNotFound
    | TaskConflict
    | WrongState
    | KeyNotFound
    | KeyEnded
    | KeyExists
    | TenantExists
)
