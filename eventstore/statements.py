"""SQL statements: one per file in a package's `sql/statements`, named after the file."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement with $1, $2 … placeholders, and the name it is prepared under."""

    name: str
    sql: str


def statement(package: str, name: str) -> Statement:
    """The statement in `<package>/sql/statements/<name>.sql`."""
    path = resources.files(package).joinpath("sql", "statements", f"{name}.sql")
    return Statement(name, path.read_text(encoding="utf-8").strip().rstrip(";"))
