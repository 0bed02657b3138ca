"""Erasure: two people, and what stands against it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from domain import client, erasure, retention
from domain.client import ClientOnboarded
from domain.erasure import ApproveErasure, EraseAgain, LiftHold, Person, PlaceHold, RequestErasure, RetainRecords
from domain.erasure_events import (
    NOTHING,
    ClientErased,
    ClientErasedAgain,
    ErasureRefused,
    ErasureRequested,
    ErasureWithdrawn,
    LegalHoldLifted,
    LegalHoldPlaced,
    RetentionAssigned,
    status,
)
from domain.refusals import ClientErased as Erased
from domain.refusals import ClientNotFound, ErasureState, HoldNotFound, HoldStands
from domain.task import CreateTask
from tests.domain.stories import Recorded, Story, sealed

NAME = "client-c"
ONBOARDED = (NAME, ClientOnboarded("c", sealed("Amina Patel"), "moderate"))
HELD = (NAME, LegalHoldPlaced("c", "m-1", sealed("litigation")))
REQUESTED = (NAME, ErasureRequested("c", "GDPR 17(1)(b)"))
ERASED = (NAME, ClientErased("c", "GDPR 17(1)(b)", "user:test", "k"))
YEARS = retention.policy({})
OFFICER, APPROVER = Person("user:test"), Person("user:ben")


def request(person: Person = OFFICER) -> RequestErasure:
    return RequestErasure("c", "GDPR 17(1)(b)", person, YEARS)


def approval(person: Person = APPROVER) -> ApproveErasure:
    return ApproveErasure("c", "k", person, YEARS)


def refused(decision: Any) -> tuple[str, str]:
    """What a recorded refusal says: action and cause."""
    ((stream, event),) = decision
    assert stream == NAME
    assert isinstance(event, ErasureRefused)
    return event.action, event.cause


def test_one_asks_and_another_approves() -> None:
    """A client in no class with a floor is erased with the second person's approval, and by nothing less."""
    story = Story().given(ONBOARDED)
    assert story.when(approval()) == ErasureState("none")
    assert story.when(request()) == (REQUESTED,)
    story.given(REQUESTED)
    assert story.when(request()) == ErasureState("requested")
    assert story.when(approval()) == (ERASED,)


@pytest.mark.parametrize(
    "person",
    [
        Person("user:test"),
        Person("user:TEST"),
        Person("user:test", "user:ben"),
        Person("user:ben", "user:test"),
    ],
    ids=["the same", "in other letters", "for somebody else", "for the first"],
)
def test_whoever_asked_is_no_second_person(person: Person) -> None:
    """Neither oneself, nor acting for another, nor through another. The refusal is recorded."""
    assert refused(Story().given(ONBOARDED, REQUESTED).when(approval(person))) == ("approval", "same-person")


def test_nor_is_whom_it_was_asked_for() -> None:
    """A request made for somebody is that person's too."""
    story = Story().given(ONBOARDED)
    asked = Recorded(REQUESTED[1], 2, 2, "user:ada", "user:ben")
    story.states[NAME] = client.evolve(story.states[NAME], asked)
    assert refused(story.when(approval())) == ("approval", "same-person")
    assert refused(story.when(approval(Person("user:eve", "user:ada")))) == ("approval", "same-person")


def test_an_algorithm_neither_asks_nor_approves() -> None:
    """Also when it acts for a person."""
    story = Story().given(ONBOARDED)
    for agent in (Person("agent:bot"), Person("agent:bot@2", "user:ben"), Person("system:cli")):
        assert refused(story.when(request(agent))) == ("request", "algorithm")
    story.given(REQUESTED)
    for agent in (Person("agent:bot"), Person("agent:bot", "user:ben")):
        assert refused(story.when(approval(agent))) == ("approval", "algorithm")


def test_a_hold_stands_against_both_steps_until_it_is_lifted() -> None:
    """A hold placed after the request stops the approval; with every hold lifted it goes on."""
    story = Story().given(ONBOARDED, HELD)
    assert refused(story.when(request())) == ("request", "legal-hold")
    assert story.when(PlaceHold("c", "m-1", sealed("again"))) == HoldStands()
    assert story.when(LiftHold("c", "m-2", sealed("?"))) == HoldNotFound()
    lifted = (NAME, LegalHoldLifted("c", "m-1", sealed("settled")))
    story = Story().given(ONBOARDED, REQUESTED, HELD, (NAME, LegalHoldPlaced("c", "m-2", sealed("tax"))), lifted)
    ((_, refusal),) = story.when(approval())
    assert (refusal.cause, refusal.holds) == ("legal-hold", ["m-2"])
    story.given((NAME, LegalHoldLifted("c", "m-2", sealed("paid"))))
    assert story.when(approval()) == (ERASED,)


def test_records_of_a_class_are_kept_for_its_years_from_the_newest_on() -> None:
    """The class that ends last is named; of several days of a class the latest counts; afterwards nothing stands."""
    account, advice = (
        RetentionAssigned("c", "account", "2019-12-31"),
        RetentionAssigned("c", "recommendation", "2024-02-29"),
    )
    story = Story().given(ONBOARDED, (NAME, advice), (NAME, account), (NAME, replace(advice, counts_from="2020-01-02")))
    ((_, refusal),) = story.when(request())
    assert (refusal.cause, refusal.record_class, refusal.until) == ("retention-running", "recommendation", "2030-03-01")
    assert story.when(RetainRecords("c", "account", "2020-01-01")) == (
        (NAME, replace(account, counts_from="2020-01-01")),
    )
    over = Story().given(ONBOARDED, (NAME, account))
    assert over.when(request()) == (REQUESTED,), "six years were over on 31 December 2025"
    longer = replace(request(), years=retention.policy({"account": 10}))
    assert refused(over.when(longer)) == ("request", "retention-running")


def test_the_last_day_is_kept_and_the_next_is_not() -> None:
    """The bound is a day, in UTC."""
    records, years = {"account": "2020-01-31"}, retention.policy({})
    assert retention.running(records, years, datetime(2026, 1, 30, 23, 59, 59, tzinfo=UTC)) == ("account", "2026-01-31")
    assert retention.running(records, years, datetime(2026, 1, 31, tzinfo=UTC)) is None
    assert retention.until(date(2024, 2, 29), 4) == date(2028, 2, 29)


@pytest.mark.parametrize("years", [{"account": 5}, {"recommendation": 101}, {"advice": 7}])
def test_configuration_can_only_raise_a_floor(years: dict[str, int]) -> None:
    """Lower, absurd or unknown is an error and never a default."""
    with pytest.raises(ValueError, match=r"years|class"):
        retention.policy(years)


def test_nothing_happens_to_the_erased_any_more() -> None:
    """No command about the client, and no new task, is accepted; the state says who erased and keeps the profile's shape."""
    story = Story().given(ONBOARDED, REQUESTED, ERASED)
    for command in (
        request(),
        approval(),
        PlaceHold("c", "h", sealed("x")),
        RetainRecords("c", "account", "2026-01-01"),
    ):
        assert story.when(command) == Erased()
    assert story.when(client.RecordClient("c", sealed("Amina Patel"), "moderate")) == Erased()
    assert story.when(CreateTask("t", "c", "a", sealed("{}"), 3)) == Erased()
    state = story.states[NAME]
    assert state.erased
    told = state.standing["erasure"]
    assert (told["requested_by"], told["approved_by"], told["legal_basis"]) == (
        "user:test",
        "user:test",
        "GDPR 17(1)(b)",
    )


def test_a_withdrawn_request_can_be_made_again() -> None:
    """And what was withdrawn cannot be approved."""
    story = Story().given(ONBOARDED, REQUESTED, (NAME, ErasureWithdrawn("c")))
    assert story.when(erasure.WithdrawErasure("c")) == ErasureState("none")
    assert story.when(approval()) == ErasureState("none")
    assert story.when(request()) == (REQUESTED,)


def test_an_erasure_holds_in_a_restored_log_whatever_it_knows() -> None:
    """Of a client it knows and of one it does not; a hold does not bring back whose key is gone."""
    again = (NAME, ClientErasedAgain("c", 41))
    for story in (Story(), Story().given(ONBOARDED, HELD)):
        assert story.when(EraseAgain("c", 41)) == (again,)
        state = story.given(again).states[NAME]
        assert state.erased
        assert story.when(client.RecordClient("c", sealed("Zoë"), "growth")) == Erased()


def test_unknown_clients_have_nothing_to_erase() -> None:
    """404, not a promise."""
    assert Story().when(request()) == ClientNotFound()
    assert status(NOTHING) == "none"
