"""Who may come in, and who looked: API keys on stream `log-admin`, accesses and refusals on stream `log-access`; and what a
restore lost, on stream `log-incarnation`.

All are streams of the tenant's log itself, category `log`. A key's secret is never here: only its keyed hash.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from domain import attestation
from domain.attestation import AttestationCommand
from domain.decider import Fold, Recorded
from domain.log_events import OfTheLog
from domain.refusals import KeyEnded, KeyExists, KeyNotFound, Refusal, TenantExists

CATEGORY = "log"
ADMIN, ACCESS, INCARNATION = "log-admin", "log-access", "log-incarnation"

Key = Mapping[str, Any]
"""An API key in the state: {"actor", "roles", "secret_hash", "issued_at", "expires_at", "revoked_at", "replaces"}; times as
RFC 3339 text in UTC with six digits."""

# Commands


@dataclass(frozen=True, slots=True)
class CreateTenant:
    """The tenant's log begins."""

    tenant_id: str

    streams = (ADMIN,)
    selection = None


@dataclass(frozen=True, slots=True)
class IssueKey:
    """A new API key. One that `replaces` another takes its actor and roles, unless it names its own; the other ends
    `overlap_seconds` later at the latest."""

    key_id: str
    secret_hash: str
    actor: str | None
    roles: tuple[str, ...] | None
    valid_seconds: int
    replaces: str | None = None
    overlap_seconds: int = 0

    streams = (ADMIN,)
    selection = None


@dataclass(frozen=True, slots=True)
class RevokeKey:
    """The key ends now."""

    key_id: str

    streams = (ADMIN,)
    selection = None


@dataclass(frozen=True, slots=True)
class RecordAccess:
    """Somebody is about to be shown personal data of these clients."""

    route: str
    clients: tuple[str, ...]
    purpose: str | None
    key_id: str | None

    streams = (ACCESS,)
    selection = None


@dataclass(frozen=True, slots=True)
class RecordRefusal:
    """Somebody known was refused."""

    route: str
    status: int
    reason: str
    key_id: str | None

    streams = (ACCESS,)
    selection = None


@dataclass(frozen=True, slots=True)
class Reincarnate:
    """The log goes on under another origin."""

    old_origin: str
    old_checkpoint: str
    new_origin: str
    new_key: str
    first_lost: int | None
    last_lost: int | None
    reason: str

    streams = (INCARNATION,)
    selection = None


AdministrationCommand = (
    CreateTenant | IssueKey | RevokeKey | RecordAccess | RecordRefusal | Reincarnate | AttestationCommand
)

# Events


@dataclass(frozen=True)
class TenantCreated(OfTheLog, log_id="admin"):
    tenant: str


@dataclass(frozen=True)
class ApiKeyIssued(OfTheLog, log_id="admin"):
    key_id: str
    secret_hash: str
    actor: str
    roles: list[str]
    expires_at: str
    replaces: str | None


@dataclass(frozen=True)
class ApiKeyExpirySet(OfTheLog, log_id="admin"):
    """The key was replaced: it ends when the overlap is over."""

    key_id: str
    expires_at: str


@dataclass(frozen=True)
class ApiKeyRevoked(OfTheLog, log_id="admin"):
    key_id: str


@dataclass(frozen=True)
class PersonalDataRead(OfTheLog, log_id="access"):
    """Recorded before the answer is sent."""

    route: str
    clients: list[str]
    purpose: str | None
    key_id: str | None

    @property
    def subjects(self) -> tuple[str, ...]:
        return tuple(self.clients)


NAMING = frozenset({PersonalDataRead.__name__})
"""Types of events that name clients and hold nothing of theirs. Reading one shows nobody's data: were it recorded about
everybody it names, each reading of the newest records would append as many as it read, and name all their clients again."""


@dataclass(frozen=True)
class AccessRefused(OfTheLog, log_id="access"):
    route: str
    status: int
    reason: str
    key_id: str | None


@dataclass(frozen=True)
class LogReincarnated(OfTheLog, log_id="incarnation"):
    """The old origin signs no more. `old_checkpoint` is the newest that is known of it, as it was signed; positions from
    `first_lost` to `last_lost` (null when none) were in it and are not in this log, or hold another event here."""

    old_origin: str
    old_checkpoint: str
    new_origin: str
    new_key: str
    first_lost: int | None
    last_lost: int | None
    reason: str


# State


class Administration(NamedTuple):
    """What a stream of the log's own left: the keys by id (on `log-admin` alone)."""

    log_id: str
    keys: Mapping[str, Key]
    created_at: datetime
    updated_at: datetime


def text(at: datetime) -> str:
    """RFC 3339 in UTC, six digits."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def ended(key: Key, now: datetime) -> str | None:
    """`revoked` or `expired` when the key does not hold at `now`, else None."""
    if key["revoked_at"] is not None and datetime.fromisoformat(key["revoked_at"]) <= now:
        return "revoked"
    return "expired" if datetime.fromisoformat(key["expires_at"]) <= now else None


def decide(
    states: Mapping[str, Any], command: AdministrationCommand, now: datetime
) -> tuple[tuple[str, Any], ...] | Refusal:
    """What is recorded. What was looked at and what was refused always is."""
    if isinstance(command, AttestationCommand):
        return attestation.decide(command)
    if isinstance(command, RecordAccess):
        seen = PersonalDataRead(command.route, list(command.clients), command.purpose, command.key_id)
        return ((ACCESS, seen),)
    if isinstance(command, RecordRefusal):
        return ((ACCESS, AccessRefused(command.route, command.status, command.reason, command.key_id)),)
    if isinstance(command, Reincarnate):
        told = LogReincarnated(
            command.old_origin, command.old_checkpoint, command.new_origin, command.new_key, command.first_lost,
            command.last_lost, command.reason,
        )  # fmt: skip
        return ((INCARNATION, told),)
    state: Administration | None = states[ADMIN]
    if isinstance(command, CreateTenant):
        return ((ADMIN, TenantCreated(command.tenant_id)),) if state is None else TenantExists()
    keys = {} if state is None else state.keys
    return _issue(keys, command, now) if isinstance(command, IssueKey) else _revoke(keys, command, now)


def _issue(keys: Mapping[str, Key], command: IssueKey, now: datetime) -> tuple[tuple[str, Any], ...] | Refusal:
    if command.key_id in keys:
        return KeyExists()
    actor, roles = command.actor, command.roles
    events: list[tuple[str, Any]] = []
    if command.replaces is not None:
        old = keys.get(command.replaces)
        if old is None:
            return KeyNotFound("/replaces")
        if (how := ended(old, now)) is not None:
            return KeyEnded(how)
        actor, roles = actor or old["actor"], roles or tuple(old["roles"])
        end = min(text(now + timedelta(seconds=command.overlap_seconds)), old["expires_at"])
        events.append((ADMIN, ApiKeyExpirySet(command.replaces, end)))
    assert actor is not None, "a key that replaces none names its actor"
    assert roles, "and its roles"
    expires_at = text(now + timedelta(seconds=command.valid_seconds))
    issued = ApiKeyIssued(command.key_id, command.secret_hash, actor, sorted(roles), expires_at, command.replaces)
    return (*events, (ADMIN, issued))


def _revoke(keys: Mapping[str, Key], command: RevokeKey, now: datetime) -> tuple[tuple[str, Any], ...] | Refusal:
    key = keys.get(command.key_id)
    if key is None:
        return KeyNotFound()
    how = ended(key, now)
    return ((ADMIN, ApiKeyRevoked(command.key_id)),) if how is None else KeyEnded(how)


def evolve(state: Administration | None, recorded: Recorded[Any]) -> Administration:
    event, at = recorded.event, recorded.recorded_at
    if state is None:
        state = Administration(event.log_id, {}, at, at)
    return state._replace(keys=_keys_after(state.keys, event, text(at)), updated_at=at)


def _keys_after(keys: Mapping[str, Key], event: Any, at: str) -> Mapping[str, Key]:
    match event:
        case ApiKeyIssued():
            key = {
                "actor": event.actor, "expires_at": event.expires_at, "issued_at": at, "replaces": event.replaces,
                "revoked_at": None, "roles": event.roles, "secret_hash": event.secret_hash,
            }  # fmt: skip
            return {**keys, event.key_id: key}
        case ApiKeyExpirySet():
            return {**keys, event.key_id: {**keys[event.key_id], "expires_at": event.expires_at}}
        case ApiKeyRevoked():
            return {**keys, event.key_id: {**keys[event.key_id], "revoked_at": at}}
    return keys


def grouped(clients: Sequence[str], limit: int = 20_000) -> list[tuple[str, ...]]:
    """The clients in groups whose ids have at most `limit` characters, so that an event of each fits a leaf."""
    groups: list[list[str]] = [[]]
    size = 0
    for client_id in clients:
        if size + len(client_id) > limit:
            groups.append([])
            size = 0
        groups[-1].append(client_id)
        size += len(client_id) + 6  # its quotes and commas, in data and in subjects
    return [tuple(group) for group in groups]


FOLD = Fold(CATEGORY, 1, evolve)
