"""Whatever is wrong in a row, a check names it and replay makes it right; the rest stays untouched."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from eventstore.database import Database
from projections.agent_tasks import agent_tasks
from projections.client_profiles import client_profiles
from projections.replay.faults import NewerFold
from projections.replay.replayable import FoldedStreams, Found
from tests.clusters import Cluster
from tests.projections.replay.harness import (
    STORY,
    TABLES,
    TASK,
    append,
    check,
    damage,
    heal,
    table,
)

IDS = {"client_profiles": "c1", "agent_tasks": TASK.format(1)}

OTHER = {
    "text": "'zz'",
    "uuid": "'ffffffff-ffff-4fff-8fff-ffffffffffff'",
    "int8": "7",
    "json": """'{"fingerprint": "forged"}'""",
    "timestamptz": "'2020-01-01'",
}
COLUMNS = [(m.table, name, OTHER[kind]) for m in (client_profiles(), agent_tasks()) for name, kind in m.columns]
OPTIONAL = {"result", "error", "claimed_by", "claim_token", "lease_expires_at", "completed_version", "completed_token"}


@pytest.fixture(scope="module")
def database(pg: Cluster) -> Iterator[Database]:
    """The story's log, and the rows that replay made of it."""
    with pg.copy() as name:
        found = pg.database(name)
        append(found, STORY)
        heal(found)
        yield found


@pytest.fixture(autouse=True)
def _right_again(database: Database) -> Iterator[None]:
    """After each test every row is as it was before: healing has put back just what stood there."""
    before = {name: table(database, name) for name in TABLES}
    yield
    assert {name: table(database, name) for name in TABLES} == before


def only(found: list[Found]) -> tuple[str, str, str]:
    """Table, id and column of the one difference."""
    assert len(found) == 1, found
    return found[0].table, found[0].id, found[0].column


@pytest.mark.parametrize(("name", "column", "value"), COLUMNS)
def test_a_damaged_column_is_found_by_name_and_healed(database: Database, name: str, column: str, value: str) -> None:
    """Each column of both tables, fold_version aside: table, id and column are told, and replay makes it right."""
    damage(database, name, f"SET {column} = {value} WHERE {TABLES[name]} = '{IDS[name]}'")
    found = check(database)
    if column == TABLES[name]:  # another id: one row is missing, and one stands for nothing
        missing, extra = found
        assert (missing.id, missing.column, missing.live, missing.fold) == (IDS[name], "row", "absent", "present")
        assert (extra.id, extra.column, extra.live, extra.fold) == (value.strip("'"), "row", "present", "absent")
    else:
        assert only(found) == (name, IDS[name], column)
    assert heal(database).differing == len(found)
    assert check(database) == []


@pytest.mark.parametrize(("name", "column"), [(name, column) for name, column, _ in COLUMNS if column in OPTIONAL])
def test_a_value_that_was_taken_away_or_put_in_is_found(database: Database, name: str, column: str) -> None:
    """null where there is a value, or a value where there is null, is a difference."""
    value = next(value for table_, column_, value in COLUMNS if (table_, column_) == (name, column))
    pending, done = TASK.format(3), TASK.format(1)
    damage(database, name, f"SET {column} = {value} WHERE task_id = '{pending}'")
    ((_, _, _, live, fold),) = [(f.table, f.id, f.column, f.live, f.fold) for f in check(database)]
    assert live is not None
    assert fold is None
    heal(database)
    if column not in {"error", "lease_expires_at"}:
        damage(database, name, f"SET {column} = null WHERE task_id = '{done}'")
        assert only(check(database)) == (name, done, column)
        assert check(database)[0].live is None
        heal(database)


@pytest.mark.parametrize("name", TABLES)
def test_a_row_of_an_older_fold_is_brought_over_although_all_else_is_equal(database: Database, name: str) -> None:
    """fold_version says what the row means."""
    damage(database, name, f"SET fold_version = 0 WHERE {TABLES[name]} = '{IDS[name]}'")
    assert only(check(database)) == (name, IDS[name], "fold_version")
    assert heal(database).differing == 1


@pytest.mark.parametrize("name", TABLES)
def test_a_row_of_a_newer_fold_is_told_and_left_alone(database: Database, name: str) -> None:
    """Replay changes nothing of that table, also not the row that is damaged: a newer Fidelog knows better."""
    last = {"client_profiles": "c3", "agent_tasks": TASK.format(3)}[name]
    damage(database, name, f"SET fold_version = 2, version = 9 WHERE {TABLES[name]} = '{last}'")
    damage(database, name, f"SET position = 99 WHERE {TABLES[name]} <> '{last}'")
    newer = [found for found in check(database) if found.id == last]
    assert only(newer) == (name, last, "fold_version")
    before = table(database, name)
    # Ranges of one event: the rows before it would be healed long before that row is met.
    models = [FoldedStreams(client_profiles(), 1), FoldedStreams(agent_tasks(), 1)]
    with pytest.raises(NewerFold, match="fold version 2"):
        heal(database, models=models)
    assert table(database, name) == before
    damage(database, name, "SET fold_version = 1")
    heal(database)


@pytest.mark.parametrize("name", TABLES)
def test_missing_rows_are_found_and_made(database: Database, name: str) -> None:
    """One of them, and all."""
    for condition in (f"WHERE {TABLES[name]} = '{IDS[name]}'", ""):
        damage(database, name, f"DELETE FROM fidelog.{name} {condition}")
        found = check(database)
        assert {(f.table, f.column, f.live, f.fold) for f in found} == {(name, "row", "absent", "present")}
        assert heal(database).differing == len(found) == (3 if not condition else 1)


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("place", ["before", "between", "after"])
def test_a_row_without_a_stream_is_found_and_deleted(database: Database, name: str, place: str) -> None:
    """Wherever among the others its id lies."""
    ids = {
        "client_profiles": {"before": "A", "between": "c2-", "after": "~"},
        "agent_tasks": {
            "before": TASK.format(0),
            "between": "00000001-ffff-4000-8000-000000000000",
            "after": "ffffffff-ffff-4fff-8fff-ffffffffffff",
        },
    }
    identifier = ids[name][place]
    copy = f"INSERT INTO fidelog.{name} SELECT (jsonb_populate_record(t, jsonb_build_object('{TABLES[name]}', '{identifier}'))).*"
    damage(database, name, f"{copy} FROM fidelog.{name} AS t LIMIT 1")
    assert [(f.id, f.live, f.fold) for f in check(database)] == [(identifier, "present", "absent")]
    assert heal(database).differing == 1
    assert check(database) == []


@pytest.mark.parametrize(
    "value", ["'infinity'", "'-infinity'", "'9999-12-31 23:59:59+00'::timestamptz + interval '1 year'"]
)
def test_a_time_that_python_cannot_hold_is_damage_like_any_other(database: Database, value: str) -> None:
    """It neither ends the check nor hides."""
    damage(database, "client_profiles", f"SET updated_at = {value} WHERE client_id = 'c1'")
    assert only(check(database)) == ("client_profiles", "c1", "updated_at")
    assert isinstance(check(database)[0].live, str)
    heal(database)


def test_json_written_otherwise_is_equal(database: Database) -> None:
    """A row's sealed value is compared by what it says: spaces and the order of members are no damage."""
    spaced = "('{ ' || ltrim(full_name::text, '{'))::json"
    before = table(database, "client_profiles")
    damage(database, "client_profiles", f"SET full_name = {spaced} WHERE client_id = 'c1'")
    assert check(database) == []
    assert heal(database).differing == 0
    assert table(database, "client_profiles") != before
    damage(database, "client_profiles", f"SET full_name = {spaced}, risk_profile = 'zz' WHERE client_id = 'c1'")
    assert only(check(database)) == ("client_profiles", "c1", "risk_profile")
    heal(database)


def test_nothing_is_written_where_nothing_differs(database: Database) -> None:
    """Healing one row leaves all others as they lie in the table."""

    def places() -> dict[str, str]:
        with psycopg.connect(database.url("superuser")) as connection:
            return dict(connection.execute("SELECT client_id, ctid::text FROM fidelog.client_profiles").fetchall())

    before = places()
    damage(database, "client_profiles", "SET risk_profile = 'zz' WHERE client_id = 'c2'")
    heal(database)
    assert {client for client, place in places().items() if before[client] != place} == {"c2"}
