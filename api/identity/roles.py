"""Which role may do what, and which route needs what. The one table; a test walks every route against it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

CLIENTS_READ, CLIENTS_WRITE = "clients:read", "clients:write"
TASKS_WORK, TASKS_MANAGE = "tasks:work", "tasks:manage"
AUDIT_READ, AUDIT_EXPORT = "audit:read", "audit:export"
HOLDS_WRITE, ERASURE_REQUEST, ERASURE_APPROVE = "holds:write", "erasure:request", "erasure:approve"
ADMIN = "admin"

SCOPES = (
    CLIENTS_READ, CLIENTS_WRITE, TASKS_WORK, TASKS_MANAGE, AUDIT_READ, AUDIT_EXPORT, HOLDS_WRITE, ERASURE_REQUEST,
    ERASURE_APPROVE, ADMIN,
)  # fmt: skip

ROLES: dict[str, frozenset[str]] = {
    "agent": frozenset({CLIENTS_READ, TASKS_WORK}),
    "advisor": frozenset({CLIENTS_READ, CLIENTS_WRITE, TASKS_MANAGE}),
    "approver": frozenset({CLIENTS_READ, AUDIT_READ, ERASURE_APPROVE}),
    "compliance": frozenset({CLIENTS_READ, AUDIT_READ, AUDIT_EXPORT, HOLDS_WRITE, ERASURE_REQUEST, ERASURE_APPROVE}),
    "auditor": frozenset({CLIENTS_READ, AUDIT_READ, AUDIT_EXPORT}),
    "operator": frozenset({TASKS_MANAGE, ADMIN}),
}

STATING_A_PURPOSE = frozenset({"compliance", "auditor"})
"""Roles that say, in Fidelog-Purpose, why they look at personal data."""


@dataclass(frozen=True, slots=True)
class Need:
    """What a route asks of its caller: any one of the scopes. Without scopes it is public."""

    scopes: tuple[str, ...] = ()
    personal: bool = False
    """Whether it shows personal data: then the read is recorded, and some roles state a purpose."""
    listed: bool = False
    """Whether it lists the data of several people: then the record is not waited for (api/identity/accesses.py)."""
    told_more: bool = False
    """A public route that tells a caller with a credential more."""
    of_process: bool = False
    """Tells of this process alone. Where only this machine is served it needs no credential, and so no database to find
    one in; how often it is asked is not counted."""

    @property
    def public(self) -> bool:
        return not self.scopes


_WORK = Need((TASKS_WORK, TASKS_MANAGE))
_PUBLIC = Need()

ROUTES: dict[str, Need] = {
    "POST /clients": Need((CLIENTS_WRITE,)),
    "GET /clients/{client_id}": Need((CLIENTS_READ,), personal=True),
    "GET /clients/{client_id}/tasks": Need((CLIENTS_READ,), personal=True),
    "GET /clients/{client_id}/timeline": Need((AUDIT_READ,), personal=True),
    "POST /clients/{client_id}/holds": Need((HOLDS_WRITE,)),
    "POST /clients/{client_id}/holds/{hold_id}/lift": Need((HOLDS_WRITE,)),
    "POST /clients/{client_id}/retention": Need((HOLDS_WRITE,)),
    "POST /clients/{client_id}/erasure": Need((ERASURE_REQUEST,)),
    "POST /clients/{client_id}/erasure/approval": Need((ERASURE_APPROVE,)),
    "POST /clients/{client_id}/erasure/withdrawal": Need((ERASURE_REQUEST, ERASURE_APPROVE)),
    "GET /clients/{client_id}/erasure": Need((AUDIT_READ,)),
    "POST /tasks": _WORK,
    "GET /tasks": Need((CLIENTS_READ,), personal=True, listed=True),
    "GET /tasks/{task_id}": Need((CLIENTS_READ,), personal=True),
    "POST /tasks/claim": _WORK,
    "POST /tasks/{task_id}/result": _WORK,
    "POST /tasks/{task_id}/failure": _WORK,
    "POST /tasks/{task_id}/release": _WORK,
    "POST /tasks/{task_id}/cancel": _WORK,
    "GET /audit/events": Need((AUDIT_READ,), personal=True, listed=True),
    "GET /audit/events/{position}": Need((AUDIT_READ,), personal=True),
    "GET /audit/events/{position}/proof": Need((AUDIT_READ,)),
    "GET /audit/consistency": Need((AUDIT_READ,)),
    "GET /audit/export": Need((AUDIT_EXPORT,), personal=True),
    "GET /log/{tenant}/checkpoint": _PUBLIC,
    "GET /log/{tenant}/tile/{tile}": _PUBLIC,
    "GET /log/{tenant}/tile/entries/{bundle}": Need((AUDIT_READ,), personal=True),
    "POST /admin/keys": Need((ADMIN,)),
    "GET /admin/keys": Need((ADMIN,)),
    "DELETE /admin/keys/{key_id}": Need((ADMIN,)),
    "GET /metrics": Need((ADMIN,), of_process=True),
    "GET /livez": _PUBLIC,
    "GET /readyz": Need(told_more=True),
    "GET /openapi.json": _PUBLIC,
}


def scopes_of(roles: Iterable[str]) -> frozenset[str]:
    """All scopes of the roles; an unknown role has none."""
    return frozenset().union(*(ROLES.get(role, frozenset()) for role in roles))
