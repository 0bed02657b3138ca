"""The whole log as the audit trail shows it, read on where the last reading ended."""

from __future__ import annotations

from collections import defaultdict

from tests.soak.http_client import Answer, Connection
from tests.soak.model import Event, Known, Model

PAGE = 500


class Trail:
    """All events so far, by correlation id too, and the model folded from them."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.of: defaultdict[str, list[Event]] = defaultdict(list)
        self.model = Model()
        self._cursor: str | None = None

    async def read_on(self, http: Connection) -> int:
        """Read what is new; how many events."""
        before = len(self.events)
        while True:
            at = f"&cursor={self._cursor}" if self._cursor else ""
            answer = await http.get(f"/audit/events?limit={PAGE}{at}")
            assert answer.status == 200, answer
            page = answer.json()
            # The last page is read again from its beginning: it had no next one then.
            self._take([event for event in page["events"] if event["position"] > len(self.events)])
            if page["next_cursor"] is None:
                return len(self.events) - before
            self._cursor = page["next_cursor"]

    def _take(self, events: list[Event]) -> None:
        for event in events:
            self.events.append(event)
            self.of[event["correlation_id"]].append(event)
            self.model.apply(event)


async def reads_that_differ(http: Connection, trail: Trail, since: int = 0) -> list[str]:
    """P7: tasks and clients whose reads are not the fold of the log; clients only those changed after `since`."""
    while True:
        tasks = await _all_tasks(http)
        clients = {
            client_id: await http.get(f"/clients/{client_id}")
            for client_id, known in trail.model.clients.items()
            if known.position > since
        }
        if not await trail.read_on(http):  # else a lease ran out meanwhile
            break
    found = [f"task {task_id}: reads and log differ" for task_id in tasks.keys() ^ trail.model.tasks.keys()]
    for task_id, content in tasks.items():
        if task_id in trail.model.tasks and trail.model.tasks[task_id].content != content:
            found.append(f"task {task_id} is read as {content}, folded as {trail.model.tasks[task_id].content}")
    found += [f"client {client_id} is read as {answer}" for client_id, answer in clients.items()
              if not _is(answer, trail.model.clients[client_id], "client")]  # fmt: skip
    return found


async def _all_tasks(http: Connection) -> dict[str, dict[str, object]]:
    tasks: dict[str, dict[str, object]] = {}
    path = f"/tasks?limit={PAGE}"
    while True:
        answer = await http.get(path)
        assert answer.status == 200, answer
        page = answer.json()
        tasks |= {task["task_id"]: task for task in page["tasks"]}
        if page["next_cursor"] is None:
            return tasks
        path = f"/tasks?limit={PAGE}&cursor={page['next_cursor']}"


def _is(answer: Answer, known: Known, kind: str) -> bool:
    return (
        answer.status == 200
        and answer.json() == known.content
        and answer.position == known.position
        and answer.headers["etag"] == f'"{known.version}.{kind}"'
    )
