"""The domain, handed to the writer: deciders, folds, codec, read models. The one place where the two meet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from domain import client, task
from domain.decider import Fold, Repeat
from domain.refusals import ClientNotFound, TaskNotFound
from eventstore.records import Context, Decision, Refused, Repeated, Selected
from eventstore.writer.engine import Engine
from projections.agent_tasks import PendingTasks, agent_tasks
from projections.client_profiles import client_profiles
from projections.codec import Codec

FOLDS: tuple[Fold[Any], ...] = (client.FOLD, task.FOLD)

_DECIDE: dict[type[Any], Callable[[Mapping[str, Any], Any, Selected], Any]] = {
    client.RecordClient: lambda states, command, selected: client.decide(states, command),
    task.CreateTask: task.decide,
    task.ClaimTasks: task.decide,
    task.CompleteTask: task.decide,
}


def decide(states: Mapping[str, Any], command: Any, selected: Selected, context: Context) -> Decision:
    """What the command's decider says, in the store's words."""
    decision = _DECIDE[type(command)](states, command, selected)
    if isinstance(decision, tuple):
        return decision
    if isinstance(decision, Repeat):
        return Repeated(decision.stream, decision.version)
    return Refused(decision, absent=isinstance(decision, ClientNotFound | TaskNotFound))


def engine() -> Engine:
    """The engine of this product."""
    tasks = agent_tasks()
    return Engine(
        decide=decide,
        evolve={fold.category: fold.evolve for fold in FOLDS},
        codec=Codec(),
        storages=(client_profiles(), tasks),
        selections=(PendingTasks(tasks),),
    )
