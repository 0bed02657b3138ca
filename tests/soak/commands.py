"""Commands of every kind, right and wrong ones mixed, as agents and people would send them."""

from __future__ import annotations

import uuid
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from tests.clusters import CLEAR_NAMES
from tests.soak.http_client import Answer

AGENTS = ("rebalancing", "onboarding", "reporting")
PROFILES = ("conservative", "moderate", "growth", "aggressive")
SHARED_CLIENTS = 6
LEASES = (5, 5, 10, 60)
KEPT = 400
"""So many tasks and tokens are remembered, so that old ones are met again but new ones more often."""


@dataclass(slots=True, eq=False)
class Command:
    """One command. Its key is also its correlation id, so that its events can be found in the log."""

    key: str
    kind: str
    path: str
    body: dict[str, Any]
    actor: str = "user:desk"
    answer: Answer | None = None
    """The answer that settled it: any but 503. Without one its end is unknown."""

    @property
    def headers(self) -> dict[str, str]:
        return {"idempotency-key": self.key, "fidelog-correlation-id": self.key, "fidelog-actor": self.actor}

    def __str__(self) -> str:
        return f"{self.kind} {self.path} {self.key}"


@dataclass(frozen=True, slots=True)
class Held:
    """A claimed task, as its holder knows it."""

    task_id: str
    token: str
    agent_name: str


class Mix:
    """Chooses the next command, and learns from answers what further commands can be about."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._created: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._held: deque[Held] = deque(maxlen=KEPT)
        self._old: deque[Held] = deque(maxlen=KEPT)
        self._clients: deque[str] = deque(maxlen=KEPT)
        self._completed: deque[Command] = deque(maxlen=KEPT)
        self.kinds: Counter[str] = Counter()
        self._choices: dict[Callable[[], Command | None], int] = {
            self._shared_client: 14, self._own_client: 8, self._create: 26, self._claim: 20, self._end: 24,
            self._result_without_token: 2, self._cancel: 3, self._stale: 6, self._made_up: 2, self._create_again: 2,
            self._conflict: 1, self._unknown_client: 1, self._unknown_task: 1, self._result_again: 2,
        }  # fmt: skip

    def next(self) -> Command:
        """A new command."""
        while True:
            (choice,) = self._random.choices(list(self._choices), list(self._choices.values()))
            command = choice()
            if command is not None:
                self.kinds[command.kind] += 1
                return command

    def learn(self, command: Command, answer: Answer) -> None:
        """Take in what an answer says."""
        if answer.status >= 300:
            return
        if command.path == "/clients":
            self._clients.append(command.body["client_id"])
        elif command.kind == "create":
            self._created.append(command.body)
        elif command.kind == "claim":
            agent = command.body["agent_name"]
            self._held.extend(Held(t["task_id"], t["claim_token"], agent) for t in answer.json()["tasks"])
        elif command.kind == "result":
            self._completed.append(command)

    def _new(self, kind: str, path: str, body: dict[str, Any], actor: str = "user:desk") -> Command:
        return Command(self._uuid(), kind, path, body, actor)

    def _uuid(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def _client(self, kind: str, client_id: str) -> Command:
        body = {"client_id": client_id, "full_name": self._name(), "risk_profile": self._random.choice(PROFILES)}
        return self._new(kind, "/clients", body)

    def _name(self) -> str:
        return self._random.choice(CLEAR_NAMES)

    def _shared_client(self) -> Command:
        return self._client("shared client", f"hot-{self._random.randrange(SHARED_CLIENTS)}")

    def _own_client(self) -> Command:
        return self._client("own client", f"own-{self._uuid()}")

    def _create(self) -> Command | None:
        if not self._clients:
            return None
        body = {
            "task_id": self._uuid(),
            "client_id": self._random.choice(self._clients),
            "agent_name": self._random.choice(AGENTS),
            "payload": {"for": self._name(), "ask": self._random.randrange(1000)},
            "priority": self._random.randint(1, 5),
        }
        return self._new("create", "/tasks", body)

    def _claim(self) -> Command:
        agent = self._random.choice(AGENTS)
        body = {"agent_name": agent, "limit": self._random.randint(1, 3), "lease_seconds": self._random.choice(LEASES)}
        return self._new("claim", "/tasks/claim", body, f"agent:{agent}@1.{self._random.randrange(9)}")

    def _end(self) -> Command | None:
        """Whoever holds a task ends it or gives it back. Some come after the lease, and some twice."""
        if not self._held:
            return None
        place = self._random.randrange(len(self._held))
        held = self._held[place]
        if self._random.random() < 0.95:
            del self._held[place]
            self._old.append(held)
        return self._under_token(held, self._random.choice(("result", "result", "failure", "release")), "")

    def _under_token(self, held: Held, action: str, what: str) -> Command:
        bodies: dict[str, dict[str, Any]] = {
            "result": {"result": {"by": self._name(), "sum": self._random.randrange(1000)}},
            "failure": {"error": f"no price for {self._name()}", "retryable": True},
            "release": {"reason": f"shutting down, {self._name()}"},
        }
        body = {"claim_token": held.token, **bodies[action]}
        actor = f"agent:{held.agent_name}@2"
        return self._new(what or action, f"/tasks/{held.task_id}/{action}", body, actor)

    def _stale(self) -> Command | None:
        """A token that was good once; it may still be the newest attempt's."""
        if not self._old:
            return None
        action = self._random.choice(("result", "failure", "release"))
        return self._under_token(self._random.choice(self._old), action, "old token")

    def _made_up(self) -> Command | None:
        if not self._created:
            return None
        task = self._random.choice(self._created)
        held = Held(task["task_id"], self._uuid(), task["agent_name"])
        return self._under_token(held, self._random.choice(("result", "failure", "release")), "made-up token")

    def _result_without_token(self) -> Command | None:
        if not self._created:
            return None
        path = f"/tasks/{self._random.choice(self._created)['task_id']}/result"
        return self._new("result without token", path, {"result": {"by": self._name()}})

    def _cancel(self) -> Command | None:
        if not self._created:
            return None
        body = {"reason": f"{self._name()} moved"}
        return self._new("cancel", f"/tasks/{self._random.choice(self._created)['task_id']}/cancel", body)

    def _create_again(self) -> Command | None:
        return self._new("create again", "/tasks", self._random.choice(self._created)) if self._created else None

    def _result_again(self) -> Command | None:
        if not self._completed:
            return None
        done = self._random.choice(self._completed)
        return self._new("result again", done.path, done.body, done.actor)

    def _conflict(self) -> Command | None:
        if not self._created:
            return None
        return self._new("conflict", "/tasks", {**self._random.choice(self._created), "payload": {"other": True}})

    def _unknown_client(self) -> Command | None:
        command = self._create()
        return command and self._new(
            "unknown client", "/tasks", {**command.body, "client_id": f"nobody-{self._uuid()}"}
        )

    def _unknown_task(self) -> Command:
        return self._new("unknown task", f"/tasks/{self._uuid()}/cancel", {})
