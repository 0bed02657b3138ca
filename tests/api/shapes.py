"""A log with every shape of event that filters must tell apart, written past the API with the guards on, and the
filters as anybody would write them down: one condition an event."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

CLIENTS = [f"c{n}" for n in range(6)]
ACTORS = ["user:local", "agent:a@1", "agent:a@2", "agent:b", "system:leases"]
TYPES = ["ClientOnboarded", "TaskCreated", "TaskClaimed", "TaskCompleted", "DecisionRecorded", "NotKnownYet"]
ODD_STREAM = 'odd-é &type=x#<"1">;+%41'
START = datetime(2026, 1, 1, tzinfo=UTC)

INSERT = """
    INSERT INTO fidelog.events (tenant_id, position, format, stream, version, event_id, type, schema_version, data,
        subjects, actor, command_id, correlation_id, recorded_at)
    VALUES ('default', %s, 1, %s, %s, gen_random_uuid(), %s, 9, '{}', %s, %s, gen_random_uuid(), %s, %s)
"""


@dataclass(frozen=True)
class Shape:
    """What filters look at."""

    position: int
    stream: str
    type: str
    subjects: tuple[str, ...]
    actor: str
    correlation_id: str
    recorded_at: datetime


def fill(url: str, number: int, seed: int) -> list[Shape]:
    """Append `number` events to an empty log; several share a time, and most streams have several events."""
    chance = random.Random(seed)
    ids = [str(uuid.UUID(int=chance.getrandbits(128), version=4)) for _ in range(30)]
    streams = [
        *(f"client-{c}" for c in CLIENTS),
        *(f"task-{i}" for i in ids[:20]),
        *(f"decision-{i}" for i in ids[20:]),
        "decisions-x",
        ODD_STREAM,
    ]
    versions: dict[str, int] = {}
    time = START
    log: list[Shape] = []
    with psycopg.connect(url) as connection:
        for position in range(1, number + 1):
            time += timedelta(microseconds=chance.choice([0, 0, 1, 2, 1000, 60_000_000]))
            stream = chance.choice(streams)
            versions[stream] = versions.get(stream, 0) + 1
            subjects = tuple(chance.choice(CLIENTS) for _ in range(chance.choice([0, 1, 1, 1, 2, 3])))
            shape = Shape(
                position, stream, chance.choice(TYPES), subjects, chance.choice(ACTORS), f"cor-{chance.randrange(40)}", time
            )  # fmt: skip
            values = (position, stream, versions[stream], shape.type, list(subjects), shape.actor, shape.correlation_id)
            connection.execute(INSERT.encode(), (*values, time))
            log.append(shape)
    return log


Filters = dict[str, Any]


def _moment(chance: random.Random, log: list[Shape]) -> datetime:
    """At, just before or just after an event, or outside the log's time."""
    near = chance.choice(log).recorded_at + timedelta(microseconds=chance.choice([-1, 0, 0, 1]))
    return chance.choice([near, near, near, START - timedelta(days=1), log[-1].recorded_at + timedelta(days=1)])


def random_filters(chance: random.Random, log: list[Shape]) -> Filters:
    """Any combination; often taken from one event, so that several filters leave something over."""
    event, other = chance.choice(log), chance.choice(log)
    decision = event.stream.removeprefix("decision-") if event.stream.startswith("decision-") else ""
    choices: dict[str, Callable[[], Any]] = {
        "client_id": lambda: chance.choice([*event.subjects, *CLIENTS, "nobody"]),
        "actor": lambda: chance.choice([event.actor, event.actor, other.actor, "user:nobody"]),
        "type": lambda: [event.type, *(chance.choice([*TYPES, "Never"]) for _ in range(chance.randrange(3)))],
        "stream": lambda: chance.choice([event.stream, event.stream, other.stream, "task-none"]),
        "correlation_id": lambda: chance.choice([event.correlation_id, event.correlation_id, "cor-none"]),
        "decision_id": lambda: decision or str(uuid.UUID(int=1)),
        "from": lambda: _moment(chance, log),
        "to": lambda: _moment(chance, log),
    }
    weights = {"from": 0.3, "to": 0.3, "decision_id": 0.5 if decision else 0.05, "stream": 0.15, "correlation_id": 0.15}
    return {name: choose() for name, choose in choices.items() if chance.random() < weights.get(name, 0.35)}


def matches(shape: Shape, filters: Filters) -> bool:
    """Whether the event is wanted."""
    decision = shape.stream.removeprefix("decision-") if shape.stream.startswith("decision-") else None
    checks: dict[str, Callable[[Any], bool]] = {
        "client_id": lambda value: value in shape.subjects,
        "actor": lambda value: shape.actor == value,
        "type": lambda value: shape.type in value,
        "stream": lambda value: shape.stream == value,
        "correlation_id": lambda value: shape.correlation_id == value,
        "decision_id": lambda value: decision == value,
        "from": lambda value: shape.recorded_at >= value,
        "to": lambda value: shape.recorded_at < value,
    }
    return all(checks[name](value) for name, value in filters.items())


def wanted(log: list[Shape], filters: Filters, order: str) -> list[int]:
    """The positions a list must give."""
    found = [shape.position for shape in log if matches(shape, filters)]
    return found if order == "asc" else found[::-1]


def query(filters: Filters) -> dict[str, Any]:
    """The filters as query parameters."""
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in filters.items()}
