"""What an event says, in one readable line. Made from the stored data, where personal values are sealed, and from its
open members only: a title never shows a personal value."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from eventstore.records import RecordedEvent

Data = Mapping[str, Any]


def _words(value: str) -> str:
    return value.replace("_", " ")


def _failed(actor: str, data: Data) -> str:
    return f"Task failed by {actor}, attempt {data['attempt']}, {'may' if data['retryable'] else 'not to'} be retried"


def _completed(actor: str, data: Data) -> str:
    return f"Task completed by {actor}, attempt {data['attempt']}"


TITLES: dict[str, Callable[[str, Data], str]] = {
    "ClientOnboarded": lambda actor, data: f"Client onboarded with risk profile {_words(data['risk_profile'])}",
    "ClientProfileUpdated": lambda actor, data: f"Client profile updated, risk profile {_words(data['risk_profile'])}",
    "ClientProfileConfirmed": lambda actor, data: (
        f"Client profile confirmed, risk profile {_words(data['risk_profile'])}"
    ),
    "LegalHoldPlaced": lambda actor, data: f"Legal hold {data['hold_id']} placed by {actor}",
    "LegalHoldLifted": lambda actor, data: f"Legal hold {data['hold_id']} lifted by {actor}",
    "RetentionAssigned": lambda actor, data: (
        f"Records of class {data['record_class']} counted from {data['counts_from']} by {actor}"
    ),
    "ErasureRequested": lambda actor, data: f"Erasure requested by {actor}: {data['legal_basis']}",
    "ErasureWithdrawn": lambda actor, data: f"Request for erasure withdrawn by {actor}",
    "ErasureRefused": lambda actor, data: (
        f"{data['action'].capitalize()} of erasure refused to {actor}: {data['cause'].replace('-', ' ')}"
    ),
    "ClientErased": lambda actor, data: f"Client erased: requested by {data['requested_by']}, approved by {actor}",
    "ClientErasedAgain": lambda actor, data: f"Client erased again after a restore, as at position {data['position']}",
    "TaskCreated": lambda actor, data: f"Task created for {data['agent_name']}, priority {data['priority']}",
    "TaskClaimed": lambda actor, data: (
        f"Task claimed by {actor}, attempt {data['attempt']}, for {data['lease_seconds']} seconds"
    ),
    "TaskCompleted": _completed,
    "TaskCompletionRejected": lambda actor, data: (
        f"{data.get('action', 'result').capitalize()} by {actor} rejected: attempt {data['attempt']} is the newest"
    ),
    "TaskFailed": _failed,
    "TaskReleased": lambda actor, data: f"Task released by {actor}, attempt {data['attempt']}",
    "TaskCancelled": lambda actor, data: f"Task cancelled by {actor}",
    "TenantCreated": lambda actor, data: f"Tenant {data['tenant']} created by {actor}",
    "LogReincarnated": lambda actor, data: (
        f"Log goes on as {data['new_origin']} after {data['old_origin']}, by {actor}"
    ),
    "ApiKeyIssued": lambda actor, data: f"API key {data['key_id']} issued to {data['actor']} by {actor}",
    "ApiKeyExpirySet": lambda actor, data: f"API key {data['key_id']} replaced by {actor}, ends {data['expires_at']}",
    "ApiKeyRevoked": lambda actor, data: f"API key {data['key_id']} revoked by {actor}",
    "PersonalDataRead": lambda actor, data: f"Personal data read by {actor}: {data['route']}",
    "AccessRefused": lambda actor, data: f"Refused to {actor}: {data['route']} ({data['status']})",
    "SchemaAttested": lambda actor, data: f"Schema attested by {actor}: {data['sha256'][:16]}",
    "GuardsRepaired": lambda actor, data: f"Guards repaired by {actor}: {len(data['differences'])} differences",
    "VerificationMade": lambda actor, data: f"Verification by {actor} ({data['kind']}): {data['verdict']}",
    "ExportMade": lambda actor, data: f"Export of {data['count']} events made by {actor}",
    "TaskLeaseExpired": lambda actor, data: f"Lease of {data['agent_name']} ran out, attempt {data['attempt']}",
}
"""By event type, from the actor and the stored data."""


def title(event: RecordedEvent) -> str:
    """The event's line. A type that this code does not know, or whose members changed, is told by its name."""
    tell = TITLES.get(event.type)
    if tell is not None:
        try:
            return tell(event.actor, orjson.loads(event.data))
        except (KeyError, TypeError, AttributeError):
            pass
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", event.type).capitalize()
