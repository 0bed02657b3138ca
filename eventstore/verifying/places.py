"""The leaves of a range, each in its place, and what is wrong with where rows stand and when they say they were recorded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from eventstore.proof.strict import HASH_BYTES
from eventstore.proof.tiles import subtree_root
from eventstore.verifying import findings
from eventstore.verifying.derived import Agreed
from eventstore.verifying.rows import Hashed
from eventstore.verifying.verdicts import Finding

NO_HASH = bytes(HASH_BYTES)
"""In the place of a leaf that is missing, so that those after it stand where they should. No leaf has it."""


class Places:
    """Takes rows and tiles in their order."""

    def __init__(self, after: int) -> None:
        self.leaves: list[bytes] = []
        self._roots: dict[bytes, bytes] = {}
        self.findings: list[Finding] = []
        self.due = after + 1
        """The position that comes next."""
        self.first_at = ""
        self.last_at = ""

    def rows(self, rows: Iterable[Hashed]) -> None:
        """Rows of which nothing is known."""
        for position, hash_, recorded_at in rows:
            if position != self.due:
                if position < self.due:
                    self.findings.append(findings.too_many(position))
                    continue
                self.end(position - 1)
            if hash_ is None:
                self.findings.append(findings.no_leaf(position))
            elif recorded_at < self.last_at:
                self.findings.append(findings.time_back(position))
            self.leaves.append(hash_ or NO_HASH)
            self._recorded(recorded_at, recorded_at)
            self.due += 1

    def tile(self, tile: Agreed) -> None:
        """The rows of a full tile that are there, in order and with its hashes."""
        if tile.first_at < self.last_at:
            self.findings.append(findings.time_back(self.due))
        self.leaves.extend(tile.hashes)
        self._roots[b"".join(tile.hashes)] = tile.root
        self._recorded(tile.first_at, tile.last_at)
        self.due += len(tile.hashes)

    def end(self, last: int) -> None:
        """No row up to there comes any more."""
        if self.due <= last:
            self.findings.append(findings.missing(self.due, last))
            self.leaves.extend([NO_HASH] * (last - self.due + 1))
            self.due = last + 1

    def root_of(self, hashes: Sequence[bytes]) -> bytes:
        """The root of a full tile, which is known of those that came whole."""
        return self._roots.get(b"".join(hashes)) or subtree_root(hashes)

    def _recorded(self, first_at: str, last_at: str) -> None:
        self.first_at, self.last_at = self.first_at or first_at, last_at
