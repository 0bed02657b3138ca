"""What happens in one block of a filled log: the lifecycles of its tasks and the upserts of clients, in order."""

from __future__ import annotations

from dataclasses import dataclass

BLOCK = 1_000
CLIENTS = 2
"""Clients that a block onboards."""
LEASE = 1_800
SHORT_LEASE = 60


@dataclass(frozen=True)
class Step:
    """One event of a task: `delay` after the one before, acting on the claim of the step `claim`, in the same command as the
    step before if `joined`."""

    type: str
    delay: float = 0
    attempt: int = 0
    claim: int | None = None
    joined: bool = False
    lease: int = LEASE


def _claimed(attempt: int, delay: float, lease: int = LEASE) -> Step:
    return Step("TaskClaimed", delay, attempt, lease=lease)


CREATED = Step("TaskCreated")
LIFECYCLES: tuple[tuple[int, tuple[Step, ...]], ...] = (
    (210, (CREATED, _claimed(1, 30), Step("TaskCompleted", 120, 1, claim=1))),
    (12, (CREATED, _claimed(1, 20, SHORT_LEASE), Step("TaskCompleted", joined=True, attempt=1))),
    (10, (CREATED, _claimed(1, 50), Step("TaskFailed", 90, 1, claim=1))),
    (8, (CREATED, _claimed(1, 40), Step("TaskReleased", 60, 1, claim=1), _claimed(2, 40), Step("TaskCompleted", 90, 2, claim=3))),
    (6, (CREATED, _claimed(1, 40, SHORT_LEASE), Step("TaskLeaseExpired", 160, 1, claim=1), _claimed(2, 20),
         Step("TaskCompletionRejected", 30, 2, claim=1), Step("TaskCompleted", 50, 2, claim=3))),
    (12, (CREATED, Step("TaskCancelled", 200))),
    (4, (CREATED,)),  # left pending
)  # fmt: skip
"""How many tasks of a block go which way."""

TASKS = sum(number for number, _ in LIFECYCLES)

Row = tuple[int, str, int, int, int, int | None, int, int]
"""A row of fill_script."""


def script() -> list[Row]:
    """The block's events, one for each place. The same every time."""
    happening = [*_onboarded(), *_worked()]
    upserts = BLOCK - len(happening)
    happening += [(BLOCK * (n + 0.5) / upserts, -1, 0, Step("ClientUpserted")) for n in range(upserts)]
    happening.sort(key=lambda one: one[:3])
    places = {(slot, number, step.type): place for place, (_, slot, number, step) in enumerate(happening) if slot >= 0}
    steps = dict(enumerate(_lives()))
    rows: list[Row] = []
    for place, (_, slot, number, step) in enumerate(happening):
        claim = None if step.claim is None else places[slot, step.claim, steps[slot][step.claim].type]
        first = place - 1 if step.joined else place
        rows.append((place, step.type, slot, number + 1, step.attempt, claim, first, step.lease))
    return rows


Happening = tuple[float, int, int, Step]
"""When, in which slot, its number there, what."""


def _onboarded() -> list[Happening]:
    """Before all else, so that whatever the block does may be about them."""
    return [(-1.0, slot, 0, Step("ClientOnboarded")) for slot in range(CLIENTS)]


def _lives() -> list[tuple[Step, ...]]:
    return [steps for number, steps in LIFECYCLES for _ in range(number)]


def _worked() -> list[Happening]:
    """Tasks begin all over the block's first part, scattered by the golden ratio."""
    happening: list[Happening] = []
    for slot, steps in enumerate(_lives()):
        at = (slot * 0.6180339887 % 1) * (BLOCK / 2)
        for number, step in enumerate(steps):
            at += step.delay
            happening.append((at, slot, number, step))
    return happening
