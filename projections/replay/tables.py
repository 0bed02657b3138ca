"""Everything that `fidelog replay` can make from the log."""

from __future__ import annotations

from collections.abc import Sequence

from projections.administration import administrations
from projections.agent_tasks import agent_tasks
from projections.client_profiles import client_profiles
from projections.replay.indexed import IndexedEvents
from projections.replay.replayable import FoldedStreams, Replayable


def tables() -> Sequence[Replayable]:
    """Each read model and the officer's index, in order of their names."""
    return [
        FoldedStreams(administrations()),
        FoldedStreams(agent_tasks()),
        IndexedEvents(),
        FoldedStreams(client_profiles()),
    ]
