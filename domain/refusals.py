"""Every way a command can be refused: a closed set of types, each carrying what the caller needs to go on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClientNotFound:
    """No such client; `pointer` is where the request named it, if in its body."""

    pointer: str | None = None


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


Refusal = ClientNotFound | TaskNotFound | TaskConflict | WrongState
