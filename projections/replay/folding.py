"""Folding streams out of the log, with the fold and the codec the writer uses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from domain.decider import Fold
from eventstore.rows import Decoder
from eventstore.writer.engine import Folded
from projections.codec import UnknownEvent
from projections.replay.faults import DamagedStream, ReplayFailed
from projections.replay.sessions import Row


class Recorded:
    """An event with what a fold may know of it (domain.decider.Recorded); nothing else of the row is kept."""

    __slots__ = ("actor", "event", "event_id", "position", "recorded_at", "version")

    def __init__(
        self, event: Any, event_id: str, position: int, version: int, actor: str, recorded_at: datetime
    ) -> None:
        self.event = event
        self.event_id = event_id
        self.position = position
        self.version = version
        self.actor = actor
        self.recorded_at = recorded_at


class Folder:
    """Folds rows of events (as replay's statements select them) of one tenant and one category."""

    def __init__(self, tenant_id: str, fold: Fold[Any], codec: Decoder) -> None:
        self.events = 0
        """Folded so far."""
        self.bytes = 0
        """Of their data; a state is never larger than the events it is made of."""
        self._tenant_id = tenant_id
        self._evolve = fold.evolve
        self._fold_version = fold.version
        self._decode = codec.decode

    def streams(self, batches: Iterable[list[Row]]) -> Iterator[tuple[str, Folded]]:
        """Each stream and its state, from events in order of stream and version.

        Raises DamagedStream when versions are not 1, 2, 3 …, ReplayFailed for an event that this code does not know.
        """
        name, folded = None, Folded(None, 0, 0, stored=False)
        for rows in batches:
            for row in rows:
                if row[0] != name:
                    if name is not None:
                        yield name, folded
                    name, folded = row[0], Folded(None, 0, 0, stored=False, fold_version=self._fold_version)
                self.apply(folded, row)
            self.events += len(rows)
        if name is not None:
            yield name, folded

    def apply(self, folded: Folded, row: Row) -> None:
        """Fold one event more. Raises as `streams` does."""
        stream, version, position, event_id, kind, schema_version, data, actor, recorded_at = row
        if version != folded.version + 1:
            what = f"after version {folded.version} comes version {version}"
            raise DamagedStream(self._tenant_id, stream, what)
        try:
            event = self._decode(kind, schema_version, data)
            folded.state = self._evolve(folded.state, Recorded(event, event_id, position, version, actor, recorded_at))
        except UnknownEvent as unknown:
            raise ReplayFailed(
                f"{stream} holds an event that this version does not know ({unknown}): a newer Fidelog wrote it; replay "
                "with that version"
            ) from unknown
        except Exception as fault:
            what = f"version {version} ({kind}) cannot be folded ({type(fault).__name__})"
            raise DamagedStream(self._tenant_id, stream, what) from fault
        folded.version = version
        folded.position = position
        self.bytes += len(data)
