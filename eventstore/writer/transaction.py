"""One batch, one transaction, two round trips: lock and load; then append, save and commit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eventstore import arrays
from eventstore.errors import ConnectionLost
from eventstore.pipeline import Call, Pipeline
from eventstore.records import Envelope, RecordedEvent
from eventstore.statements import statement
from eventstore.vault.keys import DataKey
from eventstore.vault.vault import Vault
from eventstore.writer import frame, loading, selections
from eventstore.writer.deciding import BatchDecision, rows_by_category
from eventstore.writer.engine import Engine, StateStorage
from eventstore.writer.frame import COMMIT, ROLLBACK
from eventstore.writer.loading import Loading, SelectionBehind
from eventstore.writer.selections import Selections

INSERT_EVENTS = statement("eventstore", "insert_events")
INSERT_KEYS = statement("eventstore", "insert_subject_keys")
DESTROY_KEYS = statement("eventstore", "destroy_subject_keys")
STATEMENTS = (*frame.STATEMENTS, *loading.STATEMENTS, *selections.STATEMENTS, INSERT_EVENTS, INSERT_KEYS, DESTROY_KEYS)


async def run(
    pipeline: Pipeline, engine: Engine, vault: Vault, kept: Selections, batch: Sequence[Envelope]
) -> BatchDecision:
    """Decide and commit a batch of one tenant; what was decided, and is durable now.

    Raises StatementFailed (on a statement other than COMMIT: nothing was committed; the transaction is rolled back),
    ConnectionLost, or DatabaseUnavailable. Only what is known to be durable is returned (P6).
    """
    tenant_id = batch[0].tenant_id
    try:
        decision = await _decide(pipeline, engine, vault, kept, batch)
        if decision.events:
            await pipeline.trip(_writes(engine, vault, tenant_id, decision))
        else:
            await pipeline.trip([(ROLLBACK, ())])
    except BaseException as error:
        kept.forget(tenant_id)
        if isinstance(error, Exception) and not isinstance(error, ConnectionLost):
            await pipeline.trip([(ROLLBACK, ())])
        raise
    return decision


async def _decide(
    pipeline: Pipeline, engine: Engine, vault: Vault, kept: Selections, batch: Sequence[Envelope]
) -> BatchDecision:
    tenant_id = batch[0].tenant_id
    names = [envelope.command.selection.name for envelope in batch if envelope.command.selection is not None]
    while True:
        if names:
            await kept.ready(pipeline, tenant_id, names)
        of_tenant = kept.of(tenant_id)
        try:
            loaded = await Loading(engine, batch, of_tenant).load(pipeline)
            break
        except SelectionBehind:
            await pipeline.trip([(ROLLBACK, ())])
            kept.forget(tenant_id)
    decision = BatchDecision(engine, vault, tenant_id, loaded, of_tenant.values())
    decision.decide(batch)
    return decision


def _writes(engine: Engine, vault: Vault, tenant_id: str, decision: BatchDecision) -> list[Call]:
    tenant = tenant_id.encode()
    calls: list[Call] = [(INSERT_EVENTS, _event_columns(tenant, decision.events))]
    if decision.new_keys:
        vault.wrap_anew(tenant_id, decision.new_keys)
        calls.append((INSERT_KEYS, _key_columns(tenant, decision.new_keys)))
    if decision.destroyed:
        calls.append((DESTROY_KEYS, _tombstones(tenant, decision, vault)))
    rows = rows_by_category(decision.changed)
    for storage in engine.storages:
        calls += _saves(storage, tenant_id, rows.get(storage.category, ()))
    calls.append((COMMIT, ()))
    return calls


def _saves(storage: StateStorage, tenant_id: str, rows: Sequence[Any]) -> list[Call]:
    new = [row for row in rows if not row[1].stored]
    old = [row for row in rows if row[1].stored]
    calls: list[Call] = []
    if new:
        calls.append((storage.insert, storage.parameters(tenant_id, new)))
    if old:
        calls.append((storage.update, storage.parameters(tenant_id, old)))
    return calls


def _event_columns(tenant: bytes, events: Sequence[RecordedEvent]) -> Sequence[bytes | None]:
    first = events[0]
    return (
        tenant,
        arrays.int8(first.position - 1),
        arrays.timestamptz(first.recorded_at),
        arrays.text_array([e.stream for e in events]),
        arrays.int8_array([e.version for e in events]),
        arrays.uuid_array([e.event_id for e in events]),
        arrays.text_array([e.type for e in events]),
        arrays.int8_array([e.schema_version for e in events]),
        arrays.varlena_array("json", [e.data for e in events]),
        arrays.text_array([",".join(e.subjects) for e in events]),
        arrays.text_array([e.actor for e in events]),
        arrays.text_array([e.on_behalf_of for e in events]),
        arrays.uuid_array([e.command_id for e in events]),
        arrays.text_array([e.correlation_id for e in events]),
        arrays.uuid_array([e.causation_id for e in events]),
        arrays.varlena_array("bytea", [e.idempotency_key for e in events]),
        arrays.varlena_array("bytea", [e.request_hash for e in events]),
        arrays.int8(len(events)),
    )


def _key_columns(tenant: bytes, keys: dict[str, DataKey]) -> Sequence[bytes | None]:
    return (
        tenant,
        arrays.text_array(list(keys)),
        arrays.uuid_array([key.key_id for key in keys.values()]),
        arrays.int8_array([key.epoch for key in keys.values()]),
        arrays.varlena_array("bytea", [key.wrapped for key in keys.values()]),
        arrays.int8(len(keys)),
    )


def _tombstones(tenant: bytes, decision: BatchDecision, vault: Vault) -> Sequence[bytes | None]:
    destroyed = decision.destroyed
    return (
        tenant,
        arrays.text_array(list(destroyed)),
        arrays.int8_array(list(destroyed.values())),
        arrays.timestamptz(decision.events[0].recorded_at),
        arrays.uuid_array(vault.fresh_ids(len(destroyed))),
        arrays.int8(vault.epoch),
        arrays.int8(len(destroyed)),
    )
