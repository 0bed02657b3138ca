"""The leaves that the database derives: where the verifier takes them, they are those of the one rule, whatever the rows hold."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Json

from eventstore.database import Database
from eventstore.proof.errors import NoLeaf
from eventstore.proof.leaf import MEMBERS, leaf_of
from eventstore.proof.tiles import WIDTH
from eventstore.verifying.derived import LEAVES, Derived, agreed, certain_leaves
from eventstore.verifying.rows import Row, auditing, batches
from eventstore.verifying.verdicts import Outcome
from tests.attacks.sealed import TENANT, attack, fill, seal, verify
from tests.attacks.test_rows_changed import tampered
from tests.clusters import Cluster

NULLABLE = {"causation_id", "effective_at", "idempotency_key", "on_behalf_of", "request_hash"}

HOSTILE = st.text(
    st.sampled_from('a"\\,{}[]:\x01\n\x7fé\u2028😀') | st.characters(exclude_characters="\0", codec="utf-8"), max_size=6
)
TEXT = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters='"\\'), max_size=6) | HOSTILE
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT, lambda inner: st.lists(inner, max_size=2), max_leaves=3
)
TIMES = st.sampled_from(
    [
        "2026-01-02 03:04:05+00", "2026-01-02 03:04:05.6+00", "0001-01-01 00:00:00+00", "9999-12-31 23:59:59.999999+00",
        "10000-01-01 00:00:00+00", "0001-12-31 23:59:59+00 BC", "infinity", "-infinity", "2024-02-29 00:00:00.000001+00",
    ]
)  # fmt: skip
SUBJECTS = st.sampled_from(["{}", "{NULL}", "{a,NULL}", "{{a},{b}}", "[2:2]={a}", '{"a\\"b"}', "{a,b,c}"]) | st.lists(
    TEXT, max_size=3
)
NUMBERS = st.integers(1, 32767)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "stream": TEXT, "type": TEXT, "actor": TEXT, "correlation_id": TEXT, "on_behalf_of": TEXT, "subjects": SUBJECTS,
    "recorded_at": TIMES, "effective_at": TIMES, "version": st.integers(1, 2**63 - 1), "schema_version": NUMBERS,
    "format": NUMBERS, "event_id": st.uuids(), "command_id": st.uuids(), "causation_id": st.uuids(),
    "idempotency_key": st.binary(max_size=40), "request_hash": st.binary(max_size=40),
    "data": st.builds(lambda value, indent: Json(value, lambda one: json.dumps(one, indent=indent)), JSON,
                      st.none() | st.just(1)),
}  # fmt: skip
CHANGES = st.tuples(st.integers(1, WIDTH), st.sampled_from(sorted(VALUES))).flatmap(
    lambda place: st.tuples(st.just(place[0]), st.just(place[1]), VALUES[place[1]] | st.none())
)
"""A position, a column, and what it is changed to."""


@pytest.fixture(scope="module")
def unguarded(pg: Cluster) -> Iterator[psycopg.Connection[Row]]:
    """A transaction of a superuser in which one tile of rows may become anything."""
    with pg.copy() as name:
        fill(pg.database(name), WIDTH)
        with psycopg.connect(pg.database(name).url("superuser")) as connection:
            alterations = [f"ALTER {name} DROP NOT NULL" for name in ("stream", "type", "actor", "correlation_id",
                           "subjects", "recorded_at", "version", "schema_version", "format", "event_id", "command_id", "data")]  # fmt: skip
            drops = [
                "DROP CONSTRAINT events_format_check",
                "DROP CONSTRAINT events_stream_version",
                "DISABLE TRIGGER USER",
            ]
            connection.execute(f"ALTER TABLE fidelog.events {', '.join([*drops, *alterations])}".encode())
            connection.execute(b"DROP INDEX fidelog.events_idempotency_key")
            yield connection
            connection.rollback()


def by_the_rule(row: Row) -> bytes | None:
    """The leaf of a row that may have one."""
    try:
        return leaf_of(*row)
    except (NoLeaf, TypeError):
        return None


def plain(row: dict[str, Any], leaf: bytes | None) -> bool:
    """Whether a row has a leaf, no null that there never is, nothing to escape and nothing that stands between leaves."""
    if leaf is None or b"\x01" in leaf or any(value is None for name, value in row.items() if name not in NULLABLE):
        return False
    texts = [row[name] or "" for name in ("actor", "correlation_id", "on_behalf_of", "stream", "tenant", "type")]
    return not any(mark in text for text in (*texts, *row["subjects"]) for mark in '"\\')


def timely(row: dict[str, Any], name: str) -> bool:
    """Whether a time is null or one that a leaf can have."""
    return row[name] is None or (len(row[name]) == 27 and row[name].endswith("Z"))


@given(st.lists(CHANGES, max_size=2))
@example([])
@example([(4, "correlation_id", 'order "4')])
@example([(4, "on_behalf_of", "order \\4")])
@example([(4, "subjects", '{"a\\"b"}')])
@example([(4, "subjects", "[2:2]={a}")])
@example([(4, "subjects", "{NULL}")])
@example([(4, "actor", None)])
@example([(4, "type", "a\x01b"), (3, "stream", None)])
@example([(4, "data", Json("x" * 65_535))])
@example([(4, "data", Json("x" * 64_000)), (5, "effective_at", None), (6, "idempotency_key", None)])
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_leaves_are_those_of_the_rule(unguarded: psycopg.Connection[Row], changes: list[tuple[int, str, Any]]) -> None:
    """Every leaf of a tile that is taken is what the rule gives, and a tile of rows that need no escape is taken."""
    with unguarded.transaction(force_rollback=True):
        for position, column, value in changes:
            cast = "::timestamptz" if column.endswith("_at") else "::text[]" if column == "subjects" else ""
            update = f"UPDATE fidelog.events SET {column} = %s{cast} WHERE position = {position}"
            unguarded.execute(update.encode(), (value,))
        cursor = unguarded.execute(LEAVES.sql.encode(), {"tenant": TENANT, "befores": [0]}, binary=True)
        (derived,) = cursor.fetchall()
        rows = [row for batch in batches(unguarded, TENANT, 0, WIDTH) for row in batch]
    ruled, named = [by_the_rule(row) for row in rows], [dict(zip(MEMBERS, row, strict=True)) for row in rows]
    taken = certain_leaves(Derived(*derived))
    if taken:
        assert taken == ruled
    ordinary = all(
        plain(row, leaf) and timely(row, "recorded_at") and timely(row, "effective_at")
        for row, leaf in zip(named, ruled, strict=True)
    )
    times = [row["recorded_at"] for row in named]
    assert bool(taken) == (ordinary and times == sorted(times))


def test_which_tiles_are_taken(database: Database) -> None:
    """Full tiles that need no escape and have the hashes of the rows; not one with a byte changed in the tile or in a row."""
    fill(database, 5 * WIDTH)
    seal(database, (5 * WIDTH,))
    with auditing(database.url("auditor")) as session:
        rows = session.execute(b"SELECT index, hashes FROM fidelog.tiles WHERE level = 0").fetchall()
        stored: dict[int, bytes] = dict(rows)
        assert [index for index, _ in agreed(session, TENANT, stored)] == [0, 2, 4], (
            "in the other two are quotation marks"
        )
        for index, tile in agreed(session, TENANT, stored):
            assert b"".join(tile.hashes) == stored[index]
        changed = {**stored, 2: bytes([stored[2][0] ^ 1]) + stored[2][1:], 5: stored[0]}
        assert [index for index, _ in agreed(session, TENANT, changed)] == [0, 4]
        assert list(agreed(session, TENANT, {})) == []


def test_texts_changed_to_how_leaves_write_them(database: Database) -> None:
    """Without an escape such rows would have the bytes of the leaves that were sealed. They are found."""
    fill(database, 2 * WIDTH)
    seal(database, (2 * WIDTH,))
    assert verify(database).outcome is Outcome.VERIFIED
    escaped = "replace(correlation_id, '\"', '\\\"')"
    attack(database, f"UPDATE fidelog.events SET correlation_id = {escaped} WHERE position > {WIDTH}")
    tampered(verify(database), WIDTH + 1, f"event {WIDTH + 1} was changed")
