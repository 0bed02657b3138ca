"""The one table from what the domain and the store refuse to the problem that is answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from api.problems import Problem
from domain.refusals import (
    ClientErased,
    ClientNotFound,
    ErasureState,
    HoldNotFound,
    HoldStands,
    KeyEnded,
    KeyExists,
    KeyNotFound,
    TaskConflict,
    TaskNotFound,
    TenantExists,
    WrongState,
)
from eventstore import errors


def wrong_state(status: str, detail: str | None = None) -> Problem:
    """The task's status does not allow what was asked."""
    return Problem("wrong-state", detail or f"The task is {status}", task_status=status)


def _client_not_found(refusal: ClientNotFound) -> Problem:
    faults = [{"pointer": refusal.pointer, "message": "no such client"}] if refusal.pointer else []
    return Problem("client-not-found", "Client not found", errors=faults)


def _key_not_found(refusal: KeyNotFound) -> Problem:
    faults = [{"pointer": refusal.pointer, "message": "no such API key"}] if refusal.pointer else []
    return Problem("not-found", "API key not found", errors=faults)


_ERASURE = {"none": "Nobody asked for the erasure", "requested": "The erasure is requested already"}

REFUSALS: dict[type[Any], Callable[[Any], Problem]] = {
    ClientNotFound: _client_not_found,
    ClientErased: lambda refusal: Problem("client-erased", "The client was erased"),
    HoldNotFound: lambda refusal: Problem("not-found", "No such legal hold stands"),
    HoldStands: lambda refusal: Problem("wrong-state", "The legal hold stands already", hold_status="placed"),
    ErasureState: lambda refusal: Problem("wrong-state", _ERASURE[refusal.status], erasure_status=refusal.status),
    TaskNotFound: lambda refusal: Problem("task-not-found", "Task not found"),
    TaskConflict: lambda refusal: Problem("task-conflict", refusal.detail),
    WrongState: lambda refusal: wrong_state(refusal.status),
    KeyNotFound: _key_not_found,
    KeyEnded: lambda refusal: Problem("wrong-state", f"The API key is {refusal.how}", key_status=refusal.how),
    KeyExists: lambda refusal: Problem("overloaded", "The API key's id was taken; send the request again"),
    TenantExists: lambda refusal: Problem("wrong-state", "The tenant exists"),
}

STORE_ERRORS: dict[type[errors.StoreError], Callable[[Any], Problem]] = {
    errors.CommandRefused: lambda error: REFUSALS[type(error.refusal)](error.refusal),
    errors.KeyReused: lambda error: Problem(
        "idempotency-key-reused", "The idempotency key was used for another request; use a new key for a new request"
    ),
    errors.VersionMismatch: lambda error: Problem("version-mismatch", str(error), current_version=error.current),
    errors.SubjectErased: lambda error: Problem("client-erased", "The client was erased"),
    errors.Poisoned: lambda error: Problem("invalid-request", "The database refuses a value of this request"),
    errors.Overloaded: lambda error: Problem("overloaded", headers={"retry-after": str(error.retry_after)}),
}


def problem_of(error: errors.StoreError) -> Problem:
    """The problem for an error of the store; the store's words are passed on, the database's own never."""
    for kind, build in STORE_ERRORS.items():
        if isinstance(error, kind):
            return build(error)
    return Problem("database-unavailable", f"{str(error).capitalize()}; send the request again with the same key")
