"""The client decider."""

from __future__ import annotations

from domain.client import ClientOnboarded, ClientProfileConfirmed, ClientProfileUpdated, RecordClient
from tests.domain.stories import START, Story, sealed

ONBOARDED = ("client-c", ClientOnboarded("c", sealed("Amina Patel"), "moderate"))


def kinds(decision: object) -> list[tuple[str, str]]:
    """Streams and types of the events decided."""
    assert isinstance(decision, tuple)
    return [(stream, type(event).__name__) for stream, event in decision]


def test_an_unknown_client_is_onboarded() -> None:
    """Three fields suffice."""
    assert kinds(Story().when(RecordClient("c", sealed("Amina Patel"), "moderate"))) == [
        ("client-c", "ClientOnboarded")
    ]


def test_the_same_values_again_are_confirmed() -> None:
    """An upsert that changes nothing is recorded all the same; ciphertexts differ, fingerprints decide."""
    decision = Story().given(ONBOARDED).when(RecordClient("c", sealed("Amina Patel"), "moderate"))
    assert kinds(decision) == [("client-c", "ClientProfileConfirmed")]


def test_other_values_are_an_update() -> None:
    """A changed name or risk profile."""
    story = Story().given(ONBOARDED)
    for command in (RecordClient("c", sealed("Zoë"), "moderate"), RecordClient("c", sealed("Amina Patel"), "growth")):
        assert kinds(story.when(command)) == [("client-c", "ClientProfileUpdated")]


def test_the_state_is_the_last_values_and_the_first_time() -> None:
    """The fold keeps when the client came and when it last changed."""
    updated = ("client-c", ClientProfileUpdated("c", sealed("Zoë"), "growth"))
    confirmed = ("client-c", ClientProfileConfirmed("c", sealed("Zoë"), "growth"))
    state = Story().given(ONBOARDED, updated, confirmed).states["client-c"]
    assert (state.full_name["fingerprint"], state.risk_profile) == ("Zoë", "growth")
    assert ((state.created_at - START).seconds, (state.updated_at - START).seconds) == (1, 3)
