"""Queries of the read models. A personal value is opened with the key read beside it, so no cache outlives an erasure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import orjson

from domain.client import Client
from domain.decider import Sealed
from domain.task_events import Task
from eventstore.reading import Reader
from eventstore.statements import statement
from eventstore.vault.keys import DataKey
from eventstore.vault.vault import KeyRow, Vault, unseal
from eventstore.writer.engine import Folded
from projections.agent_tasks import agent_tasks
from projections.client_profiles import client_profiles
from projections.codec import FREE_JSON, SEALED_FIELDS

GET_CLIENT = statement("projections", "get_client")
KEYS = statement("eventstore", "subject_keys")
GET_TASK = statement("projections", "get_task")

ERASED = {"erased": True}

Keys = dict[str, DataKey | None]
"""Data keys by subject; None where only a tombstone is left."""


@dataclass(frozen=True, slots=True)
class Found:
    """A read model's row: the state, how far it was folded, and the subject's key (None: erased)."""

    state: Any
    version: int
    position: int
    key: DataKey | None


class Queries:
    """What the API asks of the read models, one round trip each."""

    def __init__(self, reader: Reader, vault: Vault) -> None:
        self._reader = reader
        self._vault = vault
        self._clients = client_profiles()
        self._tasks = agent_tasks()

    async def client(self, tenant_id: str, client_id: str) -> Found | None:
        """The client's profile."""
        rows = await self._reader.rows(tenant_id, GET_CLIENT, (tenant_id, client_id))
        return self._found(tenant_id, rows[0], self._clients.row) if rows else None

    async def task(self, tenant_id: str, task_id: str) -> Found | None:
        """The task."""
        rows = await self._reader.rows(tenant_id, GET_TASK, (tenant_id, task_id))
        return self._found(tenant_id, rows[0], self._tasks.row) if rows else None

    def _found(self, tenant_id: str, row: tuple[Any, ...], read: Any) -> Found:
        *state, subject, key_id, epoch, wrapped = row
        folded: Folded = read(state)[1]
        key = self._vault.key_of(tenant_id, KeyRow(subject, key_id, epoch, wrapped))
        return Found(folded.state, folded.version, folded.position, key)

    async def keys(self, tenant_id: str, subjects: Collection[str]) -> Keys:
        """The data keys of the subjects that have one."""
        if not subjects:
            return {}
        rows = await self._reader.rows(tenant_id, KEYS, (tenant_id, list(subjects)))
        return {row[0]: self._vault.key_of(tenant_id, KeyRow(*row)) for row in rows}


def open_text(key: DataKey | None, tenant_id: str, field: str, sealed: Sealed) -> str | None:
    """The plaintext of a sealed text; None when it was erased."""
    return None if key is None else unseal(key, tenant_id, field, sealed).decode()


def open_json(key: DataKey | None, tenant_id: str, field: str, sealed: Sealed | None) -> Any:
    """The value of sealed JSON; {"erased": true} when it was erased, None when there is none."""
    if sealed is None:
        return None
    return ERASED if key is None else orjson.loads(unseal(key, tenant_id, field, sealed))


CONTEXTS = {
    "full_name": "client.full_name",
    "payload": "task.payload",
    "result": "task.result",
    "error": "task.error",
    "reason": "task.reason",
}
"""What each sealed field is bound to when it is encrypted (docs/spec/event-record.md)."""


def open_data(type_name: str, data: dict[str, Any], keys: Keys, tenant_id: str) -> dict[str, Any]:
    """An event's data with its personal values opened, or {"erased": true} in their place."""
    by_id = {key.key_id: key for key in keys.values() if key is not None}
    opened = dict(data)
    for field in SEALED_FIELDS.get(type_name, ()):
        sealed = opened.get(field)
        if sealed is None:
            continue
        key = by_id.get(sealed["key"])
        if key is None:
            opened[field] = ERASED
        elif field in FREE_JSON:
            opened[field] = open_json(key, tenant_id, CONTEXTS[field], sealed)
        else:
            opened[field] = open_text(key, tenant_id, CONTEXTS[field], sealed)
    return opened


def client_state(found: Found) -> Client:
    """The found client's state."""
    assert isinstance(found.state, Client)
    return found.state


def task_state(found: Found) -> Task:
    """The found task's state."""
    assert isinstance(found.state, Task)
    return found.state
