"""The schema as it is against the schema that the migrations make: guards, owners, policies, columns of the log's tables.

The expected one is written from a migrated database (`make schema`), as the table of rights is. Rights themselves are
compared by `eventstore.rights`; the hash that is attested is over both.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import tuple_row

from eventstore.statements import statement

SHAPE = statement("eventstore", "shape")

DROPPED = {
    "trigger": "DROP TRIGGER {name} ON {place}",
    "policy": "DROP POLICY {name} ON {place}",
    "rule": "DROP RULE {name} ON {place}",
    "constraint": "ALTER TABLE {place} DROP CONSTRAINT {name}",
    "index": "DROP INDEX {name}",
    "function": "DROP FUNCTION {name}",
}
"""How what should not be there is taken away; what has no line here is for a person to judge."""


_MADE_ONCE = frozenset({"constraint", "index", "rule"})
"""What must be dropped before it can be made again."""

_ORDER = ("schema", "function", "table", "inheritance", "column", "constraint", "index")
"""Of repairs: triggers call functions, and so on; what is not here comes after."""


class Line(NamedTuple):
    """One thing: a trigger, a policy, a column … `make` is the statement that makes it so, where one does."""

    kind: str
    place: str
    name: str
    what: str
    make: str | None

    @property
    def words(self) -> str:
        """What it is called in messages."""
        return " ".join(part for part in (self.kind, self.name, "of" if self.name else "", self.place) if part)


@dataclass(frozen=True, slots=True)
class Difference:
    """One of the two is None when the thing is missing, or should not be there."""

    found: Line | None
    expected: Line | None

    @property
    def words(self) -> str:
        """In a message."""
        if self.found is None:
            assert self.expected is not None, "one of the two is there"
            return f"{self.expected.words} is missing"
        return f"{self.found.words} {'was changed' if self.expected else 'was added'}"

    @property
    def repair(self) -> str | None:
        """The statements that put it right; None where none does."""
        drop = DROPPED.get(self.found.kind) if self.found is not None else None
        if self.found is not None and drop is not None:
            drop = drop.format(name=_quoted(self.found), place=self.found.place)
        if self.expected is None:
            return drop
        if self.found is None or self.expected.kind not in _MADE_ONCE or self.expected.make is None:
            return self.expected.make
        return f"{drop}; {self.expected.make}"


def shape(connection: psycopg.Connection[Any]) -> list[Line]:
    """The schema, by any login: the catalogue tells anyone. Raises psycopg.Error."""
    with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
        cursor.execute(b"SELECT set_config('search_path', '', true)")
        cursor.execute(SHAPE.sql.encode())
        return [Line(*row) for row in cursor.fetchall()]


def differences(found: Iterable[Line], expected: Iterable[Line]) -> list[Difference]:
    """What is not as it should be, in order."""
    here, there = {line[:3]: line for line in found}, {line[:3]: line for line in expected}
    return [
        Difference(here.get(key), there.get(key))
        for key in sorted({*here, *there})
        if key not in here or key not in there or here[key].what != there[key].what
    ]


def repairs(different: Iterable[Difference]) -> list[str]:
    """The statements that put right what a statement can, in an order in which they can be run."""
    found = []
    for one in different:
        line = one.expected or one.found
        if line is not None and one.repair is not None:
            place = _ORDER.index(line.kind) if line.kind in _ORDER else len(_ORDER)
            # Functions that should not be there go last: triggers that call them go before.
            found.append((place if one.expected else 2 * len(_ORDER) - place, one.repair))
    return [repair for _, repair in sorted(found)]


def told(different: Sequence[Difference], most: int = 5) -> str:
    """The differences in words."""
    more = f"; and {len(different) - most} more" if len(different) > most else ""
    return "; ".join(one.words for one in different[:most]) + more


def digest(lines: Iterable[Line], granted: str) -> str:
    """SHA-256 over the schema and the table of rights, in hex: what is attested."""
    hashed = hashlib.sha256()
    for line in lines:
        hashed.update(json.dumps(line[:4], ensure_ascii=True).encode() + b"\n")
    hashed.update(granted.encode())
    return hashed.hexdigest()


def read(text: str) -> list[Line]:
    """The expected schema from its file: a line of JSON each."""
    return [Line(*json.loads(line)) for line in text.split("\n") if line]


def write(lines: Iterable[Line]) -> str:
    """The file of a schema."""
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def _quoted(line: Line) -> str:
    """Functions and indexes are named with their schema, and quoted where needed, by the server."""
    if line.kind in {"function", "index"}:
        return line.name
    return '"' + line.name.replace('"', '""') + '"'
