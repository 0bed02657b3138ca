"""Clients and tasks as the audit trail tells them: a second fold, written from the documents and not from the code."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

Event = dict[str, Any]
SWEEPER = "system:fidelog"
STANDING = frozenset(
    {
        "LegalHoldPlaced",
        "LegalHoldLifted",
        "RetentionAssigned",
        "ErasureRequested",
        "ErasureWithdrawn",
        "ErasureRefused",
    }
)


def instant(text: str) -> datetime:
    """A time of an answer."""
    return datetime.fromisoformat(text)


def later(text: str, seconds: int) -> str:
    """A time so much later, in the same form."""
    return (instant(text) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass
class Known:
    """What a read must answer: its content, and the version and position of the last event."""

    content: dict[str, Any]
    version: int
    position: int
    token: str | None = None


@dataclass
class Model:
    """Folds the log, and checks on the way what must hold between its events."""

    clients: dict[str, Known] = field(default_factory=dict)
    tasks: dict[str, Known] = field(default_factory=dict)
    events: int = 0
    recorded_at: str = ""
    versions: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def apply(self, event: Event) -> None:
        """The next event. P3, P4: positions and versions without a gap, times that never go back."""
        self.events += 1
        self.versions[event["stream"]] += 1
        self._require(event["position"] == self.events, event, "a gap between positions")
        self._require(event["version"] == self.versions[event["stream"]], event, "a gap between versions")
        self._require(event["recorded_at"] >= self.recorded_at, event, "the time goes back")
        self.recorded_at = event["recorded_at"]
        if event["type"] in STANDING:
            self._standing(event)
        elif event["type"].startswith("Client"):
            self._client(event)
        elif event["type"] == "TaskCreated":
            self._created(event)
        elif event["type"].startswith("Task"):
            self._task(event)

    def _require(self, condition: bool, event: Event, fault: str) -> None:
        if not condition:
            self.faults.append(f"position {event['position']} {event['type']} of {event['stream']}: {fault}")

    def _client(self, event: Event) -> None:
        new = event["type"] == "ClientOnboarded"
        client_id = event["data"]["client_id"]
        before = self.clients.get(client_id)
        self._require((before is None) == new, event, "not the client's first event, or a second first one")
        same = before is not None and before.content == event["data"]
        self._require(same == (event["type"] == "ClientProfileConfirmed"), event, "confirmed is what did not change")
        self.clients[client_id] = Known(event["data"], event["version"], event["position"])

    def _standing(self, event: Event) -> None:
        """A hold, a class of records, a request: on the client's stream, and not in its profile."""
        client = self.clients.get(event["data"]["client_id"])
        self._require(client is not None, event, "about nobody")
        if client is not None:
            client.version, client.position = event["version"], event["position"]

    def _created(self, event: Event) -> None:
        data = event["data"]
        self._require(data["client_id"] in self.clients, event, "a task for nobody")
        content = {
            **data, "status": "pending", "attempt": 0, "result": None, "error": None, "claimed_by": None,
            "lease_expires_at": None, "created_at": event["recorded_at"], "updated_at": event["recorded_at"],
        }  # fmt: skip
        self.tasks[data["task_id"]] = Known(content, event["version"], event["position"])

    def _task(self, event: Event) -> None:
        data, at = event["data"], event["recorded_at"]
        task = self.tasks[data["task_id"]]
        content = task.content
        task.version, task.position = event["version"], event["position"]
        held = content["status"] == "claimed"
        lapsed = held and content["lease_expires_at"] <= at
        match event["type"]:
            case "TaskClaimed":
                self._require(content["status"] == "pending", event, f"claimed while {content['status']}")
                self._require(data["attempt"] == content["attempt"] + 1, event, "an attempt twice, or left out")
                content |= {
                    "status": "claimed", "attempt": data["attempt"], "claimed_by": event["actor"],
                    "lease_expires_at": later(at, data["lease_seconds"]),
                }  # fmt: skip
                task.token = event["event_id"]
            case "TaskCompleted" | "TaskFailed" | "TaskReleased":
                self._under_token(event, task, held and not lapsed)
            case "TaskLeaseExpired":
                self._require(lapsed, event, "taken back before the lease was over")
                content |= {"status": "pending", "claimed_by": None, "lease_expires_at": None}
            case "TaskCancelled":
                self._require(content["status"] in {"pending", "claimed"}, event, f"cancelled {content['status']}")
                content |= {"status": "cancelled", "lease_expires_at": None}
            case "TaskCompletionRejected":
                self._require(data["claim_token"] != task.token, event, "the newest token was refused")
                return  # on record, the task is as it was
            case _:
                self._require(False, event, "an event nobody knows")
        content["updated_at"] = at

    def _under_token(self, event: Event, task: Known, holds: bool) -> None:
        """P11: only the newest attempt's token, within its lease."""
        token = event["data"]["claim_token"]
        at_once = token is None and event["type"] == "TaskCompleted"
        self._require(holds, event, f"by nobody who holds it: it is {task.content['status']}")
        self._require(at_once or token == task.token, event, "under another token than the newest attempt's")
        ends: dict[str, dict[str, Any]] = {
            "TaskCompleted": {"status": "completed", "result": event["data"].get("result")},
            "TaskFailed": {"status": "failed", "error": event["data"].get("error")},
            "TaskReleased": {"status": "pending", "claimed_by": None},
        }
        task.content |= {**ends[event["type"]], "lease_expires_at": None}
