"""Queries of the read models. A personal value is opened with the key read beside it, so no cache outlives an erasure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from domain import client, task_events
from domain.administration import Key
from domain.client import Client
from domain.decider import Sealed
from domain.task_events import OPEN, STATUSES, Task, stream
from eventstore.reading import MAX_POSITION, Log, Reader
from eventstore.statements import statement
from eventstore.vault.keys import DataKey
from eventstore.vault.vault import KeyRow, Vault, unseal
from projections.codec import FREE_JSON, SEALED_FIELDS
from projections.read_model import ReadModel

GET_CLIENT = statement("projections", "get_client")
KEYS = statement("eventstore", "subject_keys")
GET_TASK = statement("projections", "get_task")
LIST_TASKS = statement("projections", "list_tasks")
LIST_AGENT_TASKS = statement("projections", "list_agent_tasks")
LIST_CLIENT_TASKS = statement("projections", "list_client_tasks")
CLIENT_TASK_IDS = statement("projections", "client_task_ids")
LEASES_OVER = statement("projections", "leases_over")
TASKS_OF_ERASED = statement("projections", "tasks_of_erased")
API_KEYS = statement("projections", "get_api_keys")

ERASED = {"erased": True}

Keys = dict[str, DataKey | None]
"""Data keys by subject; None where only a tombstone is left."""


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Which tasks; None means any."""

    statuses: Sequence[str] = STATUSES
    agent_name: str | None = None
    client_id: str | None = None


class Found(NamedTuple):
    """A read model's row: the state, how far it was folded, and the subject's key (None: erased)."""

    state: Any
    version: int
    position: int
    key: DataKey | None


class Queries:
    """What the API asks of the read models.

    A row is the state unless another fold wrote it or the question is about an earlier position: then the stream is
    folded from the log.
    """

    def __init__(self, reader: Reader, log: Log, vault: Vault, models: Mapping[str, ReadModel]) -> None:
        self._reader = reader
        self._log = log
        self._vault = vault
        self._clients = models[client.CATEGORY]
        self._tasks = models[task_events.CATEGORY]

    async def api_keys(self, tenant_id: str) -> tuple[Mapping[str, Key], Mapping[str, str]]:
        """The tenant's API keys by id, and when each was last used (RFC 3339; some seconds late)."""
        rows = await self._reader.rows(tenant_id, API_KEYS, (tenant_id,))
        if not rows:
            return {}, {}
        keys, used = rows[0]
        return orjson.loads(keys), {} if used is None else orjson.loads(used)

    async def client(self, tenant_id: str, client_id: str, as_of: int | None = None) -> Found | None:
        """The client's profile, now or as of a position (not above the head)."""
        rows = await self._reader.rows(tenant_id, GET_CLIENT, (tenant_id, client_id))
        return await self._found(tenant_id, self._clients, rows[0], as_of) if rows else None

    async def task(self, tenant_id: str, task_id: str, as_of: int | None = None) -> Found | None:
        """The task, now or as of a position (not above the head)."""
        rows = await self._reader.rows(tenant_id, GET_TASK, (tenant_id, task_id))
        return await self._found(tenant_id, self._tasks, rows[0], as_of) if rows else None

    async def tasks(self, tenant_id: str, wanted: TaskFilter, after: int, limit: int) -> list[Found]:
        """Tasks in the order of their creation, from after the position `after` on."""
        statuses = list(wanted.statuses)
        parameters: tuple[Any, ...] = (tenant_id, statuses, after, limit)
        if wanted.client_id is not None:
            query, parameters = LIST_CLIENT_TASKS, (*parameters, wanted.client_id, wanted.agent_name)
        elif wanted.agent_name is not None:
            query, parameters = LIST_AGENT_TASKS, (*parameters, wanted.agent_name)
        else:
            query = LIST_TASKS
        rows = await self._reader.rows(tenant_id, query, parameters)
        found = [await self._found(tenant_id, self._tasks, row, None) for row in rows]
        # A row of another fold was found by what that fold made of it.
        return [task for task in found if task is not None and task.state.status in wanted.statuses]

    async def open_tasks(self, tenant_id: str, client_id: str, as_of: int | None, limit: int) -> list[Found]:
        """The client's first `limit` open tasks, now or as of a position."""
        if as_of is None:
            return await self.tasks(tenant_id, TaskFilter(OPEN, client_id=client_id), 0, limit)
        key = (await self.keys(tenant_id, [client_id])).get(client_id)
        found: list[Found] = []
        after, pages = 0, True
        while pages and len(found) < limit:
            parameters = (tenant_id, client_id, after, as_of, limit)
            ids = await self._reader.rows(tenant_id, CLIENT_TASK_IDS, parameters)
            streams = [stream(task_id) for task_id, _ in ids]
            folded = self._tasks.fold_all(await self._log.streams_until(tenant_id, streams, as_of)) if streams else []
            found += [Found(f.state, f.version, f.position, key) for f in folded if f.state.status in OPEN]
            pages = len(ids) == limit
            after = ids[-1][1] if ids else 0
        return found[:limit]

    async def leases_over(self, tenant_id: str, after: datetime, limit: int) -> tuple[datetime, list[str]]:
        """The database's clock, and ids of tasks whose lease ended after `after` and is over by then."""
        parameters = (tenant_id, after, limit, self._tasks.fold_version)
        ((now, task_ids),) = await self._reader.rows(tenant_id, LEASES_OVER, parameters)
        return now, task_ids

    async def erased_since(self, tenant_id: str, after: int, limit: int) -> tuple[dict[str, int], list[str]]:
        """Clients erased after the position, in order, with the positions of their erasures; and open tasks of theirs."""
        rows = await self._reader.rows(tenant_id, TASKS_OF_ERASED, (tenant_id, after, limit))
        erased = {subject: position for subject, position, _ in rows}
        return erased, [task_id for _, _, task_id in rows if task_id is not None]

    async def _found(self, tenant_id: str, model: ReadModel, row: tuple[Any, ...], as_of: int | None) -> Found | None:
        *columns, subject, key_id, epoch, wrapped = row
        name, folded = model.row(columns)
        if folded.fold_version != model.fold_version or (as_of is not None and folded.position > as_of):
            until = MAX_POSITION if as_of is None else as_of
            past = model.fold_all(await self._log.streams_until(tenant_id, [name], until))
            if not past:
                return None
            (folded,) = past
        key = self._vault.key_of(tenant_id, KeyRow(subject, key_id, epoch, wrapped))
        return Found(folded.state, folded.version, folded.position, key)

    async def keys(self, tenant_id: str, subjects: Collection[str]) -> Keys:
        """The data keys of the subjects that have one."""
        if not subjects:
            return {}
        rows = await self._reader.rows(tenant_id, KEYS, (tenant_id, list(subjects)))
        return {row[0]: self._vault.key_of(tenant_id, KeyRow(*row)) for row in rows}


CONTEXTS = {
    "full_name": "client.full_name",
    "payload": "task.payload",
    "result": "task.result",
    "error": "task.error",
    "reason": "task.reason",
}
"""What each sealed field is bound to when it is encrypted (docs/spec/event-record.md)."""


def open_value(field: str, key: DataKey | None, tenant_id: str, sealed: Sealed | None) -> Any:
    """A sealed field's value: text, or where it is free JSON its text as it was sealed, for orjson to write as it is;
    {"erased": true} when it was erased, None for none."""
    if sealed is None:
        return None
    if key is None:
        return ERASED
    plain = unseal(key, tenant_id, CONTEXTS[field], sealed)
    return orjson.Fragment(plain) if field in FREE_JSON else plain.decode()


def by_key_id(keys: Iterable[DataKey | None]) -> dict[str, DataKey]:
    """The living keys by their id, which each sealed value names."""
    return {key.key_id: key for key in keys if key is not None}


def open_data(type_name: str, data: dict[str, Any], keys: Mapping[str, DataKey], tenant_id: str) -> dict[str, Any]:
    """An event's data with its personal values opened in place, or {"erased": true} where `keys`, by id, has none."""
    for field in SEALED_FIELDS.get(type_name, ()):
        sealed = data.get(field)
        if sealed is not None:
            data[field] = open_value(field, keys.get(sealed["key"]), tenant_id, sealed)
    return data


def client_state(found: Found) -> Client:
    """The found client's state."""
    assert isinstance(found.state, Client)
    return found.state


def task_state(found: Found) -> Task:
    """The found task's state."""
    assert isinstance(found.state, Task)
    return found.state
