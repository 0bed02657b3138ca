"""Folding streams out of the log, with the fold and the codec the writer uses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from domain.decider import Fold
from eventstore.rows import Decoder
from eventstore.writer.engine import Folded
from projections.codec import UnknownEvent
from projections.replay.faults import DamagedStream, ReplayFailed
from projections.replay.sessions import Row


class Recorded(NamedTuple):
    """An event with what a fold may know of it (domain.decider.Recorded), in the order replay's statements select it."""

    event: Any
    event_id: str
    position: int
    version: int
    actor: str
    on_behalf_of: str | None
    recorded_at: datetime


_NO_STREAM: Mapping[str, Folded] = {}


class Folder:
    """Folds rows of events (as replay's statements select them) of one tenant and one category."""

    def __init__(self, tenant_id: str, fold: Fold[Any], codec: Decoder) -> None:
        self.events = 0
        """Folded so far."""
        self.bytes = 0
        """Of their data, up to the stream that was given last; a state is never larger than the events it is made of."""
        self._tenant_id = tenant_id
        self._evolve = fold.evolve
        self._fold_version = fold.version
        self._decode = codec.decode

    def streams(
        self, batches: Iterable[list[Row]], before: Mapping[str, Folded] = _NO_STREAM
    ) -> Iterator[tuple[str, Folded]]:
        """Each stream and its state, from events in order of stream and version; `before` are states to go on from.

        Raises DamagedStream when versions are not 1, 2, 3 …, ReplayFailed for an event that this code does not know.
        """
        decode, evolve, new = self._decode, self._evolve, tuple.__new__
        name, state, version, position, size = None, None, 0, 0, 0
        for rows in batches:
            for row in rows:
                stream, kind, schema_version, data, _, _, next_version, *_ = row
                if stream != name:
                    if name is not None:
                        self.bytes = size
                        yield name, Folded(state, version, position, False, self._fold_version)
                    name, state, version = stream, None, 0
                    if (known := before.get(stream)) is not None:
                        state, version = known.state, known.version
                if next_version != version + 1:
                    what = f"after version {version} comes version {next_version}"
                    raise DamagedStream(self._tenant_id, stream, what)
                try:
                    state = evolve(state, new(Recorded, (decode(kind, schema_version, data), *row[4:])))
                except Exception as fault:
                    raise self._fault(row, fault) from fault
                version, position = next_version, row[5]
                size += len(data)
            self.events += len(rows)
        if name is not None:
            self.bytes = size
            yield name, Folded(state, version, position, False, self._fold_version)

    def _fault(self, row: Row, fault: Exception) -> ReplayFailed:
        stream, kind, version = row[0], row[1], row[6]
        if isinstance(fault, UnknownEvent):
            return ReplayFailed(
                f"{stream} holds an event that this version does not know ({fault}): a newer Fidelog wrote it; replay "
                "with that version"
            )
        what = f"version {version} ({kind}) cannot be folded ({type(fault).__name__})"
        return DamagedStream(self._tenant_id, stream, what)
