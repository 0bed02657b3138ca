"""Which events an export was asked for: the same question to a log, an index and a leaf."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from eventstore.proof.errors import MalformedProof

_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z", re.ASCII)
_TEXTS = ("actor", "correlation_id", "stream", "subject")
_TIMES = ("since", "until")
MOST_TYPES = 20


@dataclass(frozen=True, slots=True)
class Selection:
    """All that are given must hold; of several types, one. Times are those of leaves: `since` is inclusive, `until`
    exclusive, on recorded_at."""

    subject: str | None = None
    actor: str | None = None
    types: tuple[str, ...] = ()
    stream: str | None = None
    correlation_id: str | None = None
    since: str | None = None
    until: str | None = None

    @classmethod
    def parse(cls, members: Any) -> Selection:
        """From the members of `query` in ExportMade and in the manifest. Raises MalformedProof."""
        if not isinstance(members, dict) or members.keys() != asdict(cls()).keys():
            raise MalformedProof("the query has not the members of one")
        types = members["types"]
        if not isinstance(types, list) or len(types) > MOST_TYPES or not all(isinstance(one, str) for one in types):
            raise MalformedProof("the query's types are not a list of names")
        for name in (*_TEXTS, *_TIMES):
            value = members[name]
            if value is not None and (not isinstance(value, str) or (name in _TIMES and not _TIME.fullmatch(value))):
                raise MalformedProof(f"the query's {name} is not of its form")
        return cls(**{**members, "types": tuple(types)})

    @property
    def members(self) -> dict[str, Any]:
        """As it is written down; null stands for what is not asked."""
        return {**asdict(self), "types": list(self.types)}

    def holds(
        self, *, subjects: Sequence[str], actor: str, type: str, stream: str, correlation_id: str, recorded_at: str  # noqa: A002 - a member's name
    ) -> bool:  # fmt: skip
        """Whether an event of these members is one that was asked for."""
        return (
            (self.subject is None or self.subject in subjects)
            and (self.actor is None or self.actor == actor)
            and (not self.types or type in self.types)
            and (self.stream is None or self.stream == stream)
            and (self.correlation_id is None or self.correlation_id == correlation_id)
            and (self.since is None or recorded_at >= self.since)
            and (self.until is None or recorded_at < self.until)
        )
