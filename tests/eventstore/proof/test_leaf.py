"""Leaves: the rule of docs/spec/leaf.md, ours and as the stand-alone program of that page derives them."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventstore.leaves import leaf
from eventstore.proof.errors import NoLeaf
from eventstore.proof.leaf import LARGEST_LEAF, MEMBERS, leaf_of
from eventstore.proof.merkle import leaf_hash
from eventstore.proof.merkle_paths import MemoryTree
from eventstore.records import RecordedEvent
from eventstore.times import timestamp
from tests.eventstore.proof.vectors import OWN, ROOT, own_json
from tests.test_docs import columns_of_events

ALONE = ROOT / "docs" / "spec" / "leaf.py"
derive: Any = runpy.run_path(str(ALONE))["leaf"]

TEXT = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=5)
HASHES = st.none() | st.binary(min_size=32, max_size=32)
TIMES = st.datetimes(timezones=st.just(UTC))
NUMBERS = st.integers(1, 2**53 - 1)
UUIDS = st.uuids().map(str)
JSON = st.none() | st.integers() | st.text(max_size=5) | st.lists(st.text(max_size=3), max_size=2)
EVENTS = st.builds(
    RecordedEvent,
    tenant_id=TEXT,
    position=NUMBERS,
    stream=TEXT,
    version=NUMBERS,
    event_id=UUIDS,
    type=TEXT,
    schema_version=st.integers(1, 32767),
    data=st.dictionaries(TEXT, JSON, max_size=2).map(lambda value: json.dumps(value, ensure_ascii=False).encode()),
    subjects=st.lists(TEXT, max_size=3).map(tuple),
    actor=TEXT,
    on_behalf_of=st.none() | TEXT,
    command_id=UUIDS,
    correlation_id=TEXT,
    causation_id=st.none() | UUIDS,
    idempotency_key=HASHES,
    request_hash=HASHES,
    effective_at=st.none() | TIMES,
    recorded_at=TIMES,
    event=st.none(),
)


def as_text(time: datetime | None) -> str | None:
    """A time as PostgreSQL writes it: without zeroes at the end of its fraction."""
    if time is None:
        return None
    whole, _, fraction = time.isoformat(" ").removesuffix("+00:00").partition(".")
    return whole + (f".{fraction.rstrip('0')}" if fraction.rstrip("0") else "") + "+00"


def row_of(event: RecordedEvent) -> dict[str, Any]:
    """The event's columns, in the table's order, as PostgreSQL writes them."""
    values = {
        "tenant_id": event.tenant_id,
        "format": 1,
        "data": event.data.decode(),
        "subjects": list(event.subjects),
        "idempotency_key": None if event.idempotency_key is None else "\\x" + event.idempotency_key.hex(),
        "request_hash": None if event.request_hash is None else "\\x" + event.request_hash.hex(),
        "effective_at": as_text(event.effective_at),
        "recorded_at": as_text(event.recorded_at),
    }
    return {name: values[name] if name in values else getattr(event, name) for name, _, _ in columns_of_events()}


def from_row(row: dict[str, Any]) -> bytes:
    """Our leaf of a row of the vectors."""

    def time(column: str) -> str | None:
        return timestamp(None if row[column] is None else datetime.fromisoformat(row[column]))

    def hash_(column: str) -> str | None:
        value: str | None = row[column]
        return None if value is None else value.removeprefix("\\x")

    found = {
        **row,
        "tenant": row["tenant_id"],
        "effective_at": time("effective_at"),
        "recorded_at": time("recorded_at"),
        "idempotency_key": hash_("idempotency_key"),
        "request_hash": hash_("request_hash"),
    }
    return leaf_of(*(found[name] for name in MEMBERS))


def test_our_leaves_are_those_of_the_vectors() -> None:
    """Every row of the vectors gives the leaf, the leaf hash and the roots that stand there."""
    vectors = own_json("leaves.json")
    leaves = [from_row(one["row"]) for one in vectors["leaves"]]
    assert [one.decode() for one in leaves] == [one["leaf"] for one in vectors["leaves"]]
    assert [leaf_hash(one).hex() for one in leaves] == [one["leaf_hash"] for one in vectors["leaves"]]
    tree = MemoryTree(map(leaf_hash, leaves))
    assert [tree.root(size).hex() for size in range(len(leaves) + 1)] == vectors["roots"]


def test_the_program_of_the_spec_finds_the_vectors_true() -> None:
    """What the page offers to check the vectors with runs on a bare Python."""
    command = [sys.executable, "-S", "-I", str(ALONE), str(OWN / "leaves.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "all leaves hold\n", "")


def test_the_leaf_has_a_member_for_every_column() -> None:
    """No column of the table can change without its leaf changing."""
    columns = {"tenant" if name == "tenant_id" else name for name, _, _ in columns_of_events()}
    assert list(MEMBERS) == sorted(columns)
    event = json.loads(own_json("leaves.json")["leaves"][0]["leaf"])
    assert tuple(event) == MEMBERS


@settings(deadline=None, max_examples=60)
@given(EVENTS)
def test_an_auditor_derives_the_same_leaf_and_reads_it(event: RecordedEvent) -> None:
    """The stand-alone program and ours agree on every event, and JSON gives back each member as it is in the event."""
    line = leaf(event)
    assert line == derive(row_of(event))
    read = json.loads(line)
    assert tuple(read) == MEMBERS
    row = row_of(event) | {"data": json.loads(event.data), "tenant": event.tenant_id}
    for name in ("effective_at", "recorded_at"):
        row[name] = timestamp(getattr(event, name))
    for name in ("idempotency_key", "request_hash"):
        row[name] = None if row[name] is None else row[name].removeprefix("\\x")
    assert read == {name: row[name] for name in MEMBERS}


@settings(deadline=None, max_examples=60)
@given(EVENTS, EVENTS, st.sampled_from(sorted(RecordedEvent.__slots__)))
def test_one_changed_column_changes_the_leaf(event: RecordedEvent, other: RecordedEvent, name: str) -> None:
    """Two events that differ in one column alone have different leaves."""
    changed = replace(event, **{name: getattr(other, name)})
    assert (leaf(changed) == leaf(event)) == (name == "event" or getattr(event, name) == getattr(other, name))


@pytest.mark.parametrize("correlation", ['"', "\\", '\\"', 'a","data":{},"x":"'])
def test_a_quotation_mark_cannot_end_a_member(correlation: str) -> None:
    """What a caller may choose freely is escaped: it stays within its member."""
    row = own_json("leaves.json")["leaves"][0]["row"] | {"correlation_id": correlation}
    assert json.loads(from_row(row))["correlation_id"] == correlation


def test_a_leaf_has_at_most_65535_bytes() -> None:
    """The longest leaf is made; one byte more is refused, since no bundle could hold it."""
    row = own_json("leaves.json")["leaves"][0]["row"]
    room = LARGEST_LEAF - len(from_row(row | {"data": '""'}))
    assert len(from_row(row | {"data": f'"{"x" * room}"'})) == LARGEST_LEAF
    with pytest.raises(NoLeaf, match=r"^the leaf of position 1 has 65536 bytes, 65535 at most$"):
        from_row(row | {"data": f'"{"x" * (room - 1)}ü"'})


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("correlation_id", None),
        ("actor", None),
        ("subjects", None),
        *(("subjects", one) for one in ([None], ["a", None], [None, "a"])),
    ],
)
def test_a_null_is_never_taken_for_a_text(column: str, value: object) -> None:
    """Where the table allows no null, one that was brought in all the same has no leaf; "None" is a text like others."""
    row = own_json("leaves.json")["leaves"][0]["row"]
    with pytest.raises(NoLeaf, match=r"^position 1 has a null where there is never one$"):
        from_row(row | {column: value})
    assert json.loads(from_row(row | {"correlation_id": "None"}))["correlation_id"] == "None"


def test_the_text_of_data_is_not_touched() -> None:
    """Spaces, the order of keys, escapes and long numbers stay as they were stored."""
    row = own_json("leaves.json")["leaves"][0]["row"]
    stored: Sequence[str] = ['{"b": 1,\t"a":1.0e0}', '{"a":1,"a":2}', '"\\u00fc"', "123456789012345678901234567890"]
    for text in stored:
        assert f',"data":{text},"effective_at":null,'.encode() in from_row(row | {"data": text})
