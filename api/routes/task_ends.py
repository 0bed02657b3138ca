"""How a task ends, or goes back: result, failure, release, cancel."""

from __future__ import annotations

from collections.abc import Callable

from api.answer import Answer
from api.backend import Backend
from api.call import Call
from api.headers import WriteHeaders
from api.lean import Operation
from api.models.tasks import CancelIn, FailureIn, ReleaseIn, ResultIn, TaskStatusOut
from api.problems import Problem
from api.store_problems import wrong_state
from api.task_answers import entity_tag
from api.task_facts import TaskFacts, free_json
from api.writes import About, Writes, recorded_refusal, written
from domain import task, task_events
from domain.decider import Sealed
from eventstore.records import Receipt
from eventstore.vault.keys import DataKey
from eventstore.vault.vault import seal
from projections.queries import CONTEXTS

UNDER_TOKEN = ("task-not-found", "wrong-state", "stale-claim-token", "version-mismatch", "forbidden")

ENDED = {
    task_events.TaskCompleted: task_events.COMPLETED,
    task_events.TaskFailed: task_events.FAILED,
    task_events.TaskReleased: task_events.PENDING,
    task_events.TaskCancelled: task_events.CANCELLED,
}


class TaskEndRoutes:
    """`/tasks/{task_id}/…`"""

    def __init__(self, backend: Backend, writes: Writes, facts: TaskFacts) -> None:
        self._backend = backend
        self._writes = writes
        self._facts = facts

    def operations(self) -> list[Operation]:
        return [
            Operation(
                "POST", "/tasks/{task_id}/result", "Complete a task", self.result,
                answer=TaskStatusOut, body=ResultIn, headers=WriteHeaders, tag="Tasks", free_json="result",
                authorise=self._facts.may_act, problems=(*UNDER_TOKEN, "task-conflict", "payload-too-large"),
                description="Under a claim token; without one a pending task is claimed and completed at once.",
            ),
            Operation(
                "POST", "/tasks/{task_id}/failure", "Say that a task failed", self.failure,
                answer=TaskStatusOut, body=FailureIn, headers=WriteHeaders, tag="Tasks",
                authorise=self._facts.may_act, problems=UNDER_TOKEN,
                description="The task ends as failed; `retryable` is recorded and changes nothing yet.",
            ),
            Operation(
                "POST", "/tasks/{task_id}/release", "Give a task back", self.release,
                answer=TaskStatusOut, body=ReleaseIn, headers=WriteHeaders, tag="Tasks",
                authorise=self._facts.may_act, problems=UNDER_TOKEN,
                description="It is pending again, for whoever claims it next.",
            ),
            Operation(
                "POST", "/tasks/{task_id}/cancel", "Cancel a task", self.cancel,
                answer=TaskStatusOut, body=CancelIn, headers=WriteHeaders, tag="Tasks",
                authorise=self._facts.may_act,
                problems=("task-not-found", "wrong-state", "version-mismatch", "forbidden"),
                description="From pending or claimed. Whoever works on it finds it cancelled.",
            ),
        ]  # fmt: skip

    async def result(self, call: Call) -> Answer:
        body: ResultIn = call.input
        task_id, result = call.path_parameter("task_id"), free_json(body.result, "/result")
        return await self._act(
            call,
            "result",
            lambda key: task.CompleteTask(task_id, body.claim_token, self._seal(call, key, "result", result)),
        )

    async def failure(self, call: Call) -> Answer:
        body: FailureIn = call.input
        task_id, error = call.path_parameter("task_id"), body.error.encode()
        return await self._act(
            call,
            "failure",
            lambda key: task.FailTask(task_id, body.claim_token, self._seal(call, key, "error", error), body.retryable),
        )

    async def release(self, call: Call) -> Answer:
        body: ReleaseIn = call.input
        task_id = call.path_parameter("task_id")
        return await self._act(
            call,
            "release",
            lambda key: task.ReleaseTask(task_id, body.claim_token, self._reason(call, key, body.reason)),
        )

    async def cancel(self, call: Call) -> Answer:
        body: CancelIn = call.input
        task_id = call.path_parameter("task_id")
        return await self._act(
            call, "cancel", lambda key: task.CancelTask(task_id, self._reason(call, key, body.reason))
        )

    def _seal(self, call: Call, key: DataKey, field: str, value: bytes) -> Sealed:
        return seal(key, call.tenant_id, CONTEXTS[field], value)

    def _reason(self, call: Call, key: DataKey, reason: str | None) -> Sealed | None:
        return None if reason is None else self._seal(call, key, "reason", reason.encode())

    async def _act(self, call: Call, action: str, build: Callable[[DataKey], task.TaskCommand]) -> Answer:
        task_id = call.path_parameter("task_id")
        facts = await self._facts.of(call.tenant_id, task_id)
        expected = call.expected(task_events.stream(task_id))
        path = f"/tasks/{task_id}/{action}"
        receipt = await self._writes.submit(call, path, About(facts.client_id, build), expected)
        return _answer(task_id, receipt)


def _answer(task_id: str, receipt: Receipt) -> Answer:
    """From the command's own events, so that a repeat is answered alike (P5)."""
    last = receipt.events[-1]
    if isinstance(last.event, task_events.TaskCompletionRejected):  # P11
        raise recorded_refusal(
            receipt,
            Problem("stale-claim-token", "The claim token is not the newest attempt's; the attempt was recorded"),
        )
    if isinstance(last.event, task_events.TaskLeaseExpired):
        raise recorded_refusal(receipt, wrong_state(task_events.PENDING, "The lease ran out; the task is pending"))
    content = {"task_id": task_id, "status": ENDED[type(last.event)]}
    return written(200, content, receipt, entity_tag(last.version))
