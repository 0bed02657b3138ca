"""A contender that is `fidelog serve` of a tree, started anew for each reading."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from bench import servers
from bench.http_load import HttpLoad, Requests
from bench.one_write import OneWrite
from bench.rounds import WARM_UP_SECONDS, Reading
from bench.trees import TreeDatabase

ONE_SECONDS = 1.5

Measure = Callable[[str, str, float], Reading]
"""Loads the server of a name at a URL for so many seconds."""


@dataclass(frozen=True)
class FreshServer:
    """Rounds on one pair of processes would share what makes one process faster than another of the same code for as
    long as it lives (its hash seed, where its memory lies), and the noise they tell would not hold it."""

    database: TreeDatabase
    folder: Path
    load: Measure

    @property
    def name(self) -> str:
        """The tree's."""
        return self.database.tree.name

    def measure(self, seconds: float) -> Reading:
        """Load it for `seconds`, after a while unmeasured."""
        with serving(self.database, self.folder) as url:
            self.load(self.name, url, min(WARM_UP_SECONDS, seconds))
            return self.load(self.name, url, seconds)


def serving(database: TreeDatabase, folder: Path) -> AbstractContextManager[str]:
    """The server of a tree, while it runs; its URL."""
    return servers.fidelog_of(database.name, database.tree.programs, database.settings, folder, database.key)


def by_many(requests: Requests) -> Measure:
    """Many callers at once."""
    return lambda name, url, seconds: HttpLoad(name, url, requests).measure(seconds)


def by_one(name: str, url: str, seconds: float) -> Reading:
    """One write at a time."""
    with OneWrite(name, url) as caller:
        return caller.measure(min(ONE_SECONDS, seconds))
