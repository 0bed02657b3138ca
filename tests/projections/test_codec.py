"""Stored bytes are a contract: an event type has a vector, and today's code reads and writes it to the byte."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import orjson
import pytest

from eventstore.vault.keys import REQUEST, DataKey
from eventstore.vault.vault import seal, unseal
from projections.codec import EVENT_TYPES, SCHEMA_VERSION, SEALED_FIELDS, Codec, UnknownEvent
from projections.queries import CONTEXTS

DOCS = Path(__file__).resolve().parents[2] / "docs"
VECTORS = DOCS / "spec" / "vectors"


def vector(name: str) -> dict[str, Any]:
    """A vector file."""
    found: dict[str, Any] = json.loads((VECTORS / name).read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("kind", EVENT_TYPES)
def test_every_event_type_has_a_vector_that_is_read_and_written_to_the_byte(kind: str) -> None:
    """Sorted keys, no white space, the same text again."""
    for version in range(1, SCHEMA_VERSION[kind] + 1):
        found = vector(f"events/{kind}.v{version}.json")
        event = Codec().decode(kind, version, found["data"].encode())
        assert type(event) is EVENT_TYPES[kind]
        if version == SCHEMA_VERSION[kind]:
            encoded = Codec().encode(event)
            assert (encoded.type, encoded.data.decode()) == (kind, found["data"])
            assert list(encoded.subjects) == found["subjects"]
            assert orjson.dumps(orjson.loads(encoded.data), option=orjson.OPT_SORT_KEYS) == encoded.data


def test_an_unknown_type_or_version_is_refused() -> None:
    """A newer Fidelog wrote it: guessing would be worse than stopping."""
    for kind, version in (("ClientOnboarded", 99), ("ClientTeleported", 1)):
        with pytest.raises(UnknownEvent):
            Codec().decode(kind, version, b"{}")


def test_every_event_type_and_field_is_in_the_docs() -> None:
    """docs/events.md describes exactly the types there are."""
    text = (DOCS / "events.md").read_text(encoding="utf-8")
    sections = {part.split("\n", 1)[0].strip(): part for part in text.split("\n### ")[1:]}
    assert set(sections) == set(EVENT_TYPES)
    for kind, event_type in EVENT_TYPES.items():
        for field in fields(event_type):
            assert f"`{field.name}`" in sections[kind], f"{kind}.{field.name}"


def test_every_sealed_field_has_a_context_and_is_a_field_of_its_type() -> None:
    """A personal value cannot be forgotten when it is opened."""
    for kind, names in SEALED_FIELDS.items():
        assert set(names) <= {field.name for field in fields(EVENT_TYPES[kind])}
        assert set(names) <= set(CONTEXTS)


def test_sealing_follows_its_spec() -> None:
    """The vector of docs/spec/event-record.md opens; what is sealed anew opens too, and only in its own place."""
    found = vector("sealing.json")
    key = DataKey(found["key_id"], bytes.fromhex(found["data_key"]), 1, b"")
    plaintext = found["plaintext"].encode()
    assert unseal(key, found["tenant"], found["field"], found["sealed_value"]) == plaintext
    again = seal(key, found["tenant"], found["field"], plaintext)
    assert again["fingerprint"] == found["sealed_value"]["fingerprint"]
    assert again["sealed"] != found["sealed_value"]["sealed"], "a nonce of the value's own"
    for tenant, field in (("other", found["field"]), (found["tenant"], "task.payload")):
        with pytest.raises(Exception, match="does not open"):
            unseal(key, tenant, field, again)
    assert key.hash(REQUEST, found["request"].encode()).hex() == found["request_hash"]
