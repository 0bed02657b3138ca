"""The leaf: the one line of JSON that an event is in the Merkle tree (docs/spec/leaf.md)."""

from __future__ import annotations

from collections.abc import Sequence

from eventstore.proof.errors import NoLeaf

FORMAT = 1
"""The rule of this module. It fixes the members for ever; a column added to the table means another format."""

LARGEST_LEAF = 65_535
"""Bytes. An entry of a bundle has a length of two bytes before it."""

MEMBERS = (
    "actor", "causation_id", "command_id", "correlation_id", "data", "effective_at", "event_id", "format",
    "idempotency_key", "on_behalf_of", "position", "recorded_at", "request_hash", "schema_version", "stream",
    "subjects", "tenant", "type", "version",
)  # fmt: skip
"""The members of a leaf in their order, which is that of their bytes."""


def leaf_of(
    actor: str, causation_id: str | None, command_id: str, correlation_id: str, data: str, effective_at: str | None,
    event_id: str, format: int, idempotency_key: str | None, on_behalf_of: str | None, position: int,  # noqa: A002 - a member's name
    recorded_at: str, request_hash: str | None, schema_version: int, stream: str, subjects: Sequence[str],
    tenant: str, type: str, version: int,  # noqa: A002 - a member's name
) -> bytes:  # fmt: skip
    """The leaf of a row: its members in order, `data` as the stored text, times and hashes as the leaf has them.

    Every event of the log passes here when it is sealed and whenever it is verified. Hence one f-string, and what needs
    an escape, which hardly any value does, is looked for in one go. Raises NoLeaf.
    """
    try:
        texts = "".join((actor, correlation_id, stream, tenant, type, *subjects))
    except TypeError:  # a null, which a text "None" must not stand for
        raise NoLeaf(f"position {position} has a null where there is never one") from None
    subject = subjects[0] if len(subjects) == 1 else ""
    if '"' in texts or "\\" in texts:
        actor, correlation_id, stream = _escaped(actor), _escaped(correlation_id), _escaped(stream)
        subject, tenant, type = _escaped(subject), _escaped(tenant), _escaped(type)  # noqa: A001
    cause = "null" if causation_id is None else f'"{causation_id}"'
    effective = "null" if effective_at is None else f'"{effective_at}"'
    key = "null" if idempotency_key is None else f'"{idempotency_key}"'
    behalf = "null" if on_behalf_of is None else f'"{_escaped(on_behalf_of)}"'
    request = "null" if request_hash is None else f'"{request_hash}"'
    persons = f'"{subject}"' if len(subjects) == 1 else ",".join(f'"{_escaped(one)}"' for one in subjects)
    line = (
        f'{{"actor":"{actor}","causation_id":{cause},"command_id":"{command_id}","correlation_id":"{correlation_id}"'
        f',"data":{data},"effective_at":{effective},"event_id":"{event_id}","format":{format},"idempotency_key":{key}'
        f',"on_behalf_of":{behalf},"position":{position},"recorded_at":"{recorded_at}","request_hash":{request}'
        f',"schema_version":{schema_version},"stream":"{stream}","subjects":[{persons}],"tenant":"{tenant}"'
        f',"type":"{type}","version":{version}}}'
    ).encode()
    if len(line) > LARGEST_LEAF:
        raise NoLeaf(f"the leaf of position {position} has {len(line)} bytes, {LARGEST_LEAF} at most")
    return line


def _escaped(text: str) -> str:
    """Quotation marks and backslashes behind a backslash, and nothing else: what makes the leaf unambiguous."""
    return text.replace("\\", "\\\\").replace('"', '\\"')
