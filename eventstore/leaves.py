"""The leaf of an event as the log has it: from a record to the members of docs/spec/leaf.md."""

from __future__ import annotations

from eventstore.proof.leaf import FORMAT, leaf_of
from eventstore.records import RecordedEvent
from eventstore.times import timestamp


def leaf(event: RecordedEvent) -> bytes:
    """The leaf of a recorded event of format 1. Raises NoLeaf."""
    return leaf_of(
        event.actor,
        event.causation_id,
        event.command_id,
        event.correlation_id,
        event.data.decode(),
        timestamp(event.effective_at),
        event.event_id,
        FORMAT,
        None if event.idempotency_key is None else event.idempotency_key.hex(),
        event.on_behalf_of,
        event.position,
        timestamp(event.recorded_at),
        None if event.request_hash is None else event.request_hash.hex(),
        event.schema_version,
        event.stream,
        event.subjects,
        event.tenant_id,
        event.type,
        event.version,
    )
