"""The domain, handed to the writer: deciders, folds, codec, read models. The one place where the two meet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, get_args

from domain import administration, client, erasure, erasure_events, exports, task, task_events
from domain.decider import Fold, Repeat
from domain.refusals import ClientErased, ClientNotFound, HoldNotFound, KeyNotFound, TaskNotFound
from eventstore.records import Context, Decision, Refused, Repeated, Selected
from eventstore.writer.engine import Engine
from projections.administration import administrations
from projections.agent_tasks import agent_tasks
from projections.claimable_tasks import ClaimableTasks
from projections.client_profiles import client_profiles
from projections.codec import Codec
from projections.read_model import ReadModel

FOLDS: tuple[Fold[Any], ...] = (client.FOLD, task_events.FOLD, administration.FOLD)

_DECIDE: dict[type[Any], Callable[[Mapping[str, Any], Any, Selected, datetime], Any]] = {
    client.RecordClient: lambda states, command, selected, now: client.decide(states, command),
    **dict.fromkeys(
        get_args(erasure.ErasureCommand),
        lambda states, command, selected, now: client.decide_erasure(states, command, now),
    ),
    **dict.fromkeys(get_args(task.TaskCommand), task.decide),
    **dict.fromkeys(
        get_args(administration.AdministrationCommand),
        lambda states, command, selected, now: administration.decide(states, command, now),
    ),
    exports.RecordExport: lambda states, command, selected, now: exports.decide(command),
}


_ABSENT = (ClientNotFound, ClientErased, HoldNotFound, TaskNotFound, KeyNotFound)


def decide(states: Mapping[str, Any], command: Any, selected: Selected, context: Context) -> Decision:
    """What the command's decider says, in the store's words."""
    decision = _DECIDE[type(command)](states, command, selected, context.now)
    if isinstance(decision, tuple):
        return decision
    if isinstance(decision, Repeat):
        return Repeated(decision.stream, decision.version)
    return Refused(decision, absent=isinstance(decision, _ABSENT))


def read_models(of: Engine) -> dict[str, ReadModel]:
    """The engine's read models, by category."""
    return {storage.category: storage for storage in of.storages if isinstance(storage, ReadModel)}


def engine(folds: Sequence[Fold[Any]] = FOLDS) -> Engine:
    """The engine of this product, with its own folds unless others are given."""
    clients, tasks, administration_fold = folds
    return Engine(
        decide=decide,
        evolve={fold.category: fold.evolve for fold in folds},
        codec=Codec(),
        storages=(client_profiles(clients), agent_tasks(tasks), administrations(administration_fold)),
        selections=(ClaimableTasks(tasks.version),),
        erasing=erasure_events.ERASING,
    )
