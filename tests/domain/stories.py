"""Given events, when a command, then events: deciders without a database."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

from domain import client, erasure, task, task_events

START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Recorded:
    """An event as the log would have it: event n of the story, a second later than the one before."""

    event: Any
    position: int
    version: int
    actor: str = "user:test"
    on_behalf_of: str | None = None

    @property
    def event_id(self) -> str:
        return f"00000000-0000-7000-8000-{self.position:012d}"

    @property
    def recorded_at(self) -> datetime:
        return START + timedelta(seconds=self.position)


EVOLVE = {fold.category: fold.evolve for fold in (client.FOLD, task_events.FOLD)}


class Story:
    """Streams and what happened on them."""

    def __init__(self) -> None:
        self.states: dict[str, Any] = {}
        self._versions: dict[str, int] = {}
        self._position = 0

    def given(self, *happened: tuple[str, Any]) -> Story:
        """These events happened."""
        for stream, event in happened:
            self._position += 1
            self._versions[stream] = self._versions.get(stream, 0) + 1
            recorded = Recorded(event, self._position, self._versions[stream])
            category = stream.partition("-")[0]
            self.states[stream] = EVOLVE[category](self.states.get(stream), recorded)
        return self

    def when(self, command: Any, selected: Any = (), after: float = 0) -> Any:
        """What the decider says to the command, `after` seconds after the last event."""
        states = {stream: self.states.get(stream) for stream in command.streams}
        now = START + timedelta(seconds=self._position + after)
        if isinstance(command, client.RecordClient):
            return client.decide(states, command)
        if isinstance(command, get_args(erasure.ErasureCommand)):
            return client.decide_erasure(states, command, now)
        return task.decide(states, command, iter(selected), now)


_ciphertexts = itertools.count()


def sealed(text: str) -> dict[str, str]:
    """A sealed value as deciders see it: equal fingerprints for equal texts, another ciphertext each time."""
    return {"fingerprint": text, "key": "k", "sealed": str(next(_ciphertexts))}
