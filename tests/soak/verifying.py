"""Every answer against the log: what was acknowledged stands there once, what was refused does not. (P1, P5, P6, P11)"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence

from tests.soak.commands import Command
from tests.soak.http_client import Answer, Connection, NoAnswer
from tests.soak.load import PATIENCE, PAUSE
from tests.soak.model import SWEEPER, Event
from tests.soak.trail import Trail

EXPECTED = {
    "shared client": {200}, "own client": {200}, "create": {201}, "create again": {201}, "claim": {200},
    "result": {200, 409}, "failure": {200, 409}, "release": {200, 409}, "old token": {200, 409},
    "made-up token": {409}, "result without token": {200, 409}, "cancel": {200, 409}, "result again": {200},
    "conflict": {409}, "unknown client": {404}, "unknown task": {404},
}  # fmt: skip
REPEATS_OF_CONTENT = {"create again", "result again", "result", "old token", "result without token"}
"""Kinds that may be answered as another command was that had the same content: nothing is appended then."""
RECORDED = {"stale-claim-token": "TaskCompletionRejected", "wrong-state": "TaskLeaseExpired"}
"""Refusals that are on record, and the event that they append."""
REPEATERS = 8


def faults_of(command: Command, trail: Trail) -> Iterable[str]:
    """What is wrong between a command's answer and its events."""
    answer, events = command.answer, trail.of.get(command.key, [])
    assert answer is not None
    if answer.status not in EXPECTED[command.kind]:
        yield f"{command}: unexpected {answer.status} {answer.body!r}"
    if len({event["command_id"] for event in events}) > 1:
        yield f"{command}: stands in the log more than once"
    if answer.position is None:
        if events:
            yield f"{command}: {answer.status} without a position, but {_types(events)} stand in the log"
        if answer.status < 300 and not _is_empty_claim(command, answer):
            yield f"{command}: acknowledged without a position"
    elif answer.status < 300:
        yield from _acknowledged(command, answer, events, trail)
    elif [event["type"] for event in events] != [RECORDED.get(answer.slug)] or events[-1][
        "position"
    ] != answer.position:
        yield f"{command}: refused as {answer.slug} at {answer.position}, but {_types(events)} stand in the log"


def _acknowledged(command: Command, answer: Answer, events: Sequence[Event], trail: Trail) -> Iterable[str]:
    if events:
        if events[-1]["position"] != answer.position:
            yield f"{command}: acknowledged at {answer.position}, but {_types(events)} stand in the log"
        if command.kind == "claim":
            claims = [event for event in events if event["type"] == "TaskClaimed"]
            answered = [(task["task_id"], task["claim_token"], task["attempt"]) for task in answer.json()["tasks"]]
            if [(e["data"]["task_id"], e["event_id"], e["data"]["attempt"]) for e in claims] != answered:
                yield f"{command}: the tasks answered are not those of its events"
        return
    first = trail.events[answer.position - 1] if answer.position and answer.position <= len(trail.events) else None
    if first is None or not answer.replayed or command.kind not in REPEATS_OF_CONTENT:
        yield f"{command}: acknowledged at {answer.position}, but no event of it stands in the log"
    elif f"/{first['data'].get('task_id')}/" not in f"{command.path}/{command.body.get('task_id')}/":
        yield f"{command}: answered as a repeat of {first['type']} of another task"


def _types(events: Sequence[Event]) -> list[str]:
    return [f"{event['type']} at {event['position']}" for event in events]


def _is_empty_claim(command: Command, answer: Answer) -> bool:
    return command.kind == "claim" and answer.json() == {"tasks": []}


def strangers(trail: Trail, commands: Iterable[Command], since: int) -> Iterable[str]:
    """Events after `since` that nobody asked for: only the server's own taking back of leases may be one."""
    keys = {command.key for command in commands}
    for event in trail.events[since:]:
        swept = event["type"] == "TaskLeaseExpired" and event["actor"] == SWEEPER
        if event["correlation_id"] not in keys and not swept:
            yield f"position {event['position']}: {event['type']} belongs to no command"


def claims_given_twice(commands: Iterable[Command]) -> Iterable[str]:
    """Attempts of a task that two acknowledged claims were given."""
    given: dict[tuple[str, int], Command] = {}
    for command in commands:
        if command.kind == "claim" and command.answer is not None and command.answer.status == 200:
            for task in command.answer.json()["tasks"]:
                other = given.setdefault((task["task_id"], task["attempt"]), command)
                if other is not command:
                    yield f"{command}: attempt {task['attempt']} of {task['task_id']} was given to {other} too"


async def resolve(urls: Sequence[str], unknown: Sequence[Command], trail: Trail) -> list[str]:
    """Send again every command whose end is unknown: one that stands in the log is answered from there."""
    faults = []
    for command, answer in zip(unknown, await send_all(urls, unknown), strict=True):
        events = trail.of.get(command.key)
        if events and not (answer.replayed and answer.position == events[-1]["position"]):
            faults.append(f"{command}: stood in the log at {events[-1]['position']}, yet answered as {answer}")
        command.answer = answer
    return faults


async def repeats_that_differ(urls: Sequence[str], commands: Iterable[Command]) -> list[str]:
    """P5: commands on record that are not answered as the first time."""
    bound = [c for c in commands if c.answer is not None and c.answer.position is not None]
    faults = []
    for command, again in zip(bound, await send_all(urls, bound), strict=True):
        assert command.answer is not None
        if not again.replayed or _what_counts(again) != _what_counts(command.answer):
            faults.append(f"{command}: answered first {command.answer}, then {again}")
    return faults


def _what_counts(answer: Answer) -> tuple[object, ...]:
    return answer.status, answer.json(), answer.headers.get("etag"), answer.position


async def send_all(urls: Sequence[str], commands: Sequence[Command]) -> list[Answer]:
    """Send commands, by a few connections at once, until each is answered; the answers."""
    answers: dict[int, Answer] = {}
    places = iter(range(len(commands)))

    async def some(url: str) -> None:
        http = Connection(url)
        for place in places:
            answers[place] = await _answered(http, commands[place])
        http.close()

    await asyncio.gather(*(some(urls[n % len(urls)]) for n in range(REPEATERS)))
    return [answers[place] for place in range(len(commands))]


async def _answered(http: Connection, command: Command) -> Answer:
    deadline = time.monotonic() + PATIENCE
    while True:
        assert time.monotonic() < deadline, f"{command} is answered in the end"
        try:
            answer = await http.post(command.path, command.body, command.headers)
        except NoAnswer:
            pass
        else:
            if answer.status != 503:
                return answer
        await asyncio.sleep(PAUSE)
