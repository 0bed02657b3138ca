"""Commands, retries, time and reads in any order give what a plain in-memory model says, and the log holds just its
events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from eventstore.database import Database
from projections.replay.tables import tables
from tests.clocks import PassingClock
from tests.clusters import CLEAR_NAMES, Cluster
from tests.projections.replay.harness import damage, heal
from tests.running import RunningApi, running_api
from tests.scenarios.beside_the_model import Service, matches

TASKS, CLIENTS, AGENTS = st.integers(0, 3), st.integers(0, 1), st.integers(0, 1)
RISKS = st.sampled_from(["conservative", "moderate", "aggressive"])
VALUES = st.dictionaries(st.sampled_from(["a", "ü", "~/"]), st.none() | st.booleans() | st.integers(-9, 9), max_size=2)
TOKENS = st.sampled_from(["newest", "newest", "newest", "stale", "none"])
LEASES = st.sampled_from([50, 150, 250])
TURN = 100.0
"""Time passes in steps that end in the middle between two leases' ends: seconds of real time make no difference."""


DAMAGE = {
    "client_profiles": "SET risk_profile = 'growth', version = 77",
    "agent_tasks": "SET status = 'completed', attempt = attempt + 1, lease_expires_at = NULL",
}


class Machine(RuleBasedStateMachine):
    """The service over HTTP beside the model."""

    api: RunningApi
    clock: PassingClock
    database: Database

    def __init__(self) -> None:
        super().__init__()
        self.service = Service(self.api, self.clock)

    @initialize(priorities=st.tuples(*[st.integers(1, 3)] * 3))
    def begin(self, priorities: tuple[int, ...]) -> None:
        """Something to work on, so that time is not spent on what does not exist."""
        self.service.upsert(0, CLEAR_NAMES[0], "moderate")
        for task, priority in enumerate(priorities):
            self.service.create(task, 0, task % 2, {}, priority)
            self.service.claim(task % 2, 1, 50)

    # commands

    @rule(client=CLIENTS, name=st.sampled_from(CLEAR_NAMES), risk=RISKS)
    def upsert(self, client: int, name: str, risk: str) -> None:
        self.service.upsert(client, name, risk)

    @rule(task=TASKS, client=CLIENTS, agent=AGENTS, payload=VALUES, priority=st.integers(1, 3))
    def create(self, task: int, client: int, agent: int, payload: Any, priority: int) -> None:
        self.service.create(task, client, agent, payload, priority)

    @rule(agent=AGENTS, limit=st.integers(1, 3), seconds=LEASES)
    def claim(self, agent: int, limit: int, seconds: int) -> None:
        self.service.claim(agent, limit, seconds)

    @rule(action=st.sampled_from(["result", "failure", "release", "cancel"]), task=TASKS, token=TOKENS, value=VALUES)
    def end(self, action: str, task: int, token: str, value: Any) -> None:
        self.service.end(action, task, token, value)

    @rule(action=st.sampled_from(["result", "failure", "release"]), task=TASKS, value=VALUES)
    def end_late(self, action: str, task: int, value: Any) -> None:
        """P11: whoever comes back after a while may find the lease over."""
        self.service.pass_seconds(TURN)
        self.service.end(action, task, "newest", value)

    @rule()
    def time_passes(self) -> None:
        self.service.pass_seconds(TURN)

    @rule(tasks=st.sets(TASKS))
    def sweep(self, tasks: set[int]) -> None:
        self.service.expire(*sorted(tasks))

    @rule(damaged=st.none() | st.sampled_from(sorted(DAMAGE)))
    def replay(self, damaged: str | None) -> None:
        """P7: nothing differs from the log; what somebody changed behind its back is as it was before."""
        if damaged is not None:
            damage(self.database, damaged, DAMAGE[damaged])
        models = [model for model in tables() if model.name in DAMAGE]
        assert (heal(self.database, models=models).differing > 0) is (damaged is not None)

    # retries

    @precondition(lambda self: self.service.sent)
    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        """The same request with the same key: the first answer, if it appended events."""
        key, path, body, actor, first = data.draw(st.sampled_from(self.service.sent))
        if first.headers.get("fidelog-position") is None or first.headers.get("idempotency-replayed") is not None:
            return  # a refusal, an empty claim or a natural repeat binds nothing: it would be evaluated anew
        headers = {"idempotency-key": f'"{key}"'} | ({"fidelog-actor": actor} if actor else {})
        again = self.service.http.post(path, json=body, headers=headers)
        assert again.headers["idempotency-replayed"] == "true"
        assert (again.status_code, again.json()) == (first.status_code, first.json())
        for header in ("fidelog-position", "etag"):
            assert again.headers.get(header) == first.headers.get(header)

    @precondition(lambda self: self.service.sent)
    @rule(data=st.data())
    def misuse_a_key(self, data: st.DataObject) -> None:
        """Another request with a key that was bound."""
        key, _, _, actor, first = data.draw(st.sampled_from(self.service.sent))
        if first.headers.get("fidelog-position") is None or first.headers.get("idempotency-replayed") is not None:
            return
        body = {"client_id": self.service.client_id(9), "full_name": CLEAR_NAMES[0], "risk_profile": "growth"}
        headers = {"idempotency-key": key} | ({"fidelog-actor": actor} if actor else {})
        matches(self.service.http.post("/clients", json=body, headers=headers), (422, "idempotency-key-reused"))

    # reads

    @rule(client=CLIENTS)
    def read_client(self, client: int) -> None:
        self.service.check_client(self.service.client_id(client))

    @rule(task=TASKS)
    def read_task(self, task: int) -> None:
        self.service.check_task(self.service.task_id(task))

    @rule(back=st.integers(0, 60), client=CLIENTS, task=TASKS)
    def read_the_past(self, back: int, client: int, task: int) -> None:
        """As of a position back in this run, the one before its first event included."""
        model = self.service.model
        position = model.head - back % (len(model.types) + 1)
        self.service.check_client(self.service.client_id(client), position)
        self.service.check_task(self.service.task_id(task), position)

    @rule(
        client=CLIENTS, agent=st.none() | AGENTS, by_path=st.booleans(), limit=st.integers(1, 3),
        status=st.none() | st.sampled_from(["pending", "claimed", "completed", "failed", "cancelled"]),
    )  # fmt: skip
    def list_tasks(self, client: int, agent: int | None, by_path: bool, limit: int, status: str | None) -> None:
        client_id = self.service.client_id(client)
        filters = {"status": status} if status else {}
        if agent is not None:
            filters["agent_name"] = self.service.agent(agent)
        if not by_path:
            self.service.check_list("/tasks", limit, client_id=client_id, **filters)
        elif client_id in self.service.model.clients:
            self.service.check_list(f"/clients/{client_id}/tasks", limit, **filters)

    @invariant()
    def the_log_holds_just_the_models_events(self) -> None:
        self.service.catch_up()


@pytest.fixture
def machine(pg: Cluster, database_name: str, database: Database) -> Iterator[type[Machine]]:
    """The machine with one API for all runs, and its clock."""
    Machine.clock, Machine.database = PassingClock(), database
    with running_api(pg.settings(database_name), engine=Machine.clock.engine()) as Machine.api:
        yield Machine


def test_the_service_does_what_the_model_says(pg: Cluster, machine: type[Machine]) -> None:
    """Any order of commands, retries, reads, replay, and time that passes."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=16,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize=False,
        ),
    )
