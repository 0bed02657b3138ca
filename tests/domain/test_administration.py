"""Keys: issued, replaced, revoked; given what happened, when a command comes, then what is recorded or refused."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from domain import administration as admin
from domain.refusals import KeyEnded, KeyExists, KeyNotFound, TenantExists

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
DAY = 86_400


@dataclass
class At:
    """An event as recorded."""

    event: Any
    recorded_at: datetime
    event_id: str = ""
    position: int = 1
    version: int = 1
    actor: str = "user:olga"
    on_behalf_of: str | None = None


def after(*commands: tuple[float, Any]) -> admin.Administration | None:
    """The state after the commands, each at so many days."""
    state: admin.Administration | None = None
    for days, command in commands:
        decided = admin.decide({admin.ADMIN: state, admin.ACCESS: None}, command, BEGIN + timedelta(days=days))
        assert isinstance(decided, tuple), decided
        for stream, event in decided:
            assert stream == admin.ADMIN
            state = admin.evolve(state, At(event, BEGIN + timedelta(days=days)))
    return state


def then(state: admin.Administration | None, days: float, command: Any) -> Any:
    """What is decided."""
    return admin.decide({admin.ADMIN: state, admin.ACCESS: None}, command, BEGIN + timedelta(days=days))


ISSUE = admin.IssueKey("aaaaaaaa", "00", "agent:x", ("agent", "advisor"), 10 * DAY)
REPLACE = admin.IssueKey("bbbbbbbb", "11", None, None, 10 * DAY, "aaaaaaaa", DAY)


def test_what_a_restore_lost_is_told_on_a_stream_of_its_own() -> None:
    """Whatever else happened; and it makes no key."""
    told = admin.Reincarnate("a/default", "note", "a/default/2", "key", 6, 8, "disk lost")
    decided = admin.decide({admin.INCARNATION: None}, told, BEGIN)
    assert isinstance(decided, tuple)
    ((stream, event),) = decided
    assert (stream, event) == (
        admin.INCARNATION,
        admin.LogReincarnated("a/default", "note", "a/default/2", "key", 6, 8, "disk lost"),
    )
    state = admin.evolve(None, At(event, BEGIN))
    assert (state.log_id, state.keys) == ("incarnation", {})


def test_an_issued_key_ends_by_itself() -> None:
    """Exactly when its time is over."""
    state = after((0, ISSUE))
    assert state is not None
    key = state.keys["aaaaaaaa"]
    assert (key["actor"], key["roles"], key["expires_at"]) == (
        "agent:x",
        ["advisor", "agent"],
        "2026-01-11T00:00:00.000000Z",
    )
    assert admin.ended(key, BEGIN + timedelta(days=10, seconds=-1)) is None
    assert admin.ended(key, BEGIN + timedelta(days=10)) == "expired"


def test_a_replaced_key_holds_on_for_the_overlap_but_not_longer_than_it_would_have() -> None:
    """The new one takes actor and roles."""
    state = after((0, ISSUE), (2, REPLACE))
    assert state is not None
    assert state.keys["aaaaaaaa"]["expires_at"] == "2026-01-04T00:00:00.000000Z"
    assert (state.keys["bbbbbbbb"]["actor"], state.keys["bbbbbbbb"]["replaces"]) == ("agent:x", "aaaaaaaa")
    late = after((0, ISSUE), (9.5, REPLACE))
    assert late is not None
    assert late.keys["aaaaaaaa"]["expires_at"] == "2026-01-11T00:00:00.000000Z"


def test_a_revoked_key_ends_at_once_and_once() -> None:
    """Revoking or replacing it again is refused, as is an unknown one, and an id that is taken."""
    state = after((0, ISSUE), (1, admin.RevokeKey("aaaaaaaa")))
    assert state is not None
    assert admin.ended(state.keys["aaaaaaaa"], BEGIN + timedelta(days=1)) == "revoked"
    assert then(state, 2, admin.RevokeKey("aaaaaaaa")) == KeyEnded("revoked")
    assert then(state, 2, REPLACE) == KeyEnded("revoked")
    assert then(after((0, ISSUE)), 11, REPLACE) == KeyEnded("expired")
    assert then(state, 2, admin.RevokeKey("zzzzzzzz")) == KeyNotFound()
    assert then(None, 2, REPLACE) == KeyNotFound("/replaces")
    assert then(state, 2, ISSUE) == KeyExists()


def test_a_tenant_begins_once() -> None:
    """Its log may hold keys already: then it had begun."""
    assert then(None, 0, admin.CreateTenant("acme")) == ((admin.ADMIN, admin.TenantCreated("acme")),)
    assert then(after((0, ISSUE)), 0, admin.CreateTenant("acme")) == TenantExists()


def test_what_was_read_and_refused_is_always_recorded() -> None:
    """On a stream of its own, about the clients that were shown."""
    ((stream, read),) = then(None, 0, admin.RecordAccess("GET /tasks", ("c1", "c2"), None, "aaaaaaaa"))
    assert (stream, read.subjects) == (admin.ACCESS, ("c1", "c2"))
    state = admin.evolve(None, At(read, BEGIN))
    assert (state.log_id, state.keys) == ("access", {})
    ((stream, refused),) = then(None, 0, admin.RecordRefusal("GET /tasks", 403, "admin", "aaaaaaaa"))
    assert (stream, refused.subjects) == (admin.ACCESS, ())


def test_groups_of_clients_fit_a_leaf() -> None:
    """All of them, in order, none in a group of more than its share."""
    clients = [f"{number:0128}" for number in range(500)]
    groups = admin.grouped(clients)
    assert [client_id for group in groups for client_id in group] == clients
    assert max(sum(map(len, group)) for group in groups) <= 20_000
    assert admin.grouped(["c"]) == [("c",)]
