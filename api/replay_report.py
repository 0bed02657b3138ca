"""What `fidelog replay` prints on stdout: lines, or one JSON object."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import IO, Any

from eventstore.times import timestamp
from projections.replay.replayable import Found, Tally

DIFFERENT = 1
FOUND_IN_MEMORY = 1 << 20


class Report:
    """What is printed on stdout of a replay: a line a read model."""

    def found(self, found: Found) -> None:
        """A replay finds nothing that it does not heal."""

    def conclude(self, tallies: dict[str, Tally]) -> int:
        """Print the result; the exit status."""
        for name, tally in tallies.items():
            print(f"{name}  {tally.rows:,} rows, {tally.differing:,} brought level")
        return 0


class _CheckReport(Report):
    """A line a difference, as they come; when there is none a line a read model."""

    def found(self, found: Found) -> None:
        words = (found.table, found.tenant_id, found.id, found.column, found.live, found.fold)
        print(*(_word(_plain(value)) for value in words), flush=True)

    def conclude(self, tallies: dict[str, Tally]) -> int:
        if any(tally.differing for tally in tallies.values()):
            return DIFFERENT
        for name, tally in tallies.items():
            print(f"{name}  {tally.rows:,} rows, equal")
        return 0


class _JsonReport(Report):
    """One object. What differs waits in a file, so that memory stays bounded and a check that fails prints nothing."""

    def __init__(self, waiting: IO[str]) -> None:
        self._waiting = waiting
        self._number = 0

    def found(self, found: Found) -> None:
        content = {
            "table": found.table,
            "tenant_id": found.tenant_id,
            "id": found.id,
            "column": found.column,
            "live": _plain(found.live),
            "fold": _plain(found.fold),
        }
        self._waiting.write(("," if self._number else "") + _json(content))
        self._number += 1

    def conclude(self, tallies: dict[str, Tally]) -> int:
        rows = {name: tally.rows for name, tally in tallies.items()}
        head = {"equal": not self._number, "rows": rows, "events": sum(tally.events for tally in tallies.values())}
        sys.stdout.write(_json(head).removesuffix("}") + ',"differences":[')
        self._waiting.seek(0)
        shutil.copyfileobj(self._waiting, sys.stdout)
        print("]}")
        return DIFFERENT if self._number else 0


@contextmanager
def report(*, check: bool, as_json: bool) -> Iterator[Report]:
    """The report of a replay or a check."""
    if not check:
        yield Report()
    elif not as_json:
        yield _CheckReport()
    else:
        with tempfile.SpooledTemporaryFile(FOUND_IN_MEMORY, mode="w+", encoding="ascii") as waiting:
            yield _JsonReport(waiting)


def _plain(value: Any) -> Any:
    """As JSON has it."""
    return timestamp(value) if isinstance(value, datetime) else value


def _json(value: Any) -> str:
    """Compact, ASCII: also what damage left there can be printed."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True)


def _word(value: Any) -> str:
    """A value in a line: bare where that is one readable word, else JSON."""
    if (
        isinstance(value, str)
        and value
        and value != "null"
        and value.isprintable()
        and not any(map(str.isspace, value))
    ):
        return value
    return _json(value)
