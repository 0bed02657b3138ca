"""Logs: one line of JSON each on stderr. What went wrong is told without the values it went wrong with."""

from __future__ import annotations

import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any

import orjson
import psycopg

from eventstore.errors import StoreError

FRAMES = 30
TOLD = (OSError, psycopg.OperationalError, StoreError)
"""Errors whose words are about machines, and may be repeated. The words of others may quote what somebody sent."""


def at(seconds: float) -> str:
    """A time of the Unix clock as RFC 3339, in milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def told(error: BaseException) -> str:
    """What may be said of an error in one line: its type, PostgreSQL's code and names, and words that hold no value."""
    said = type(error).__name__
    if isinstance(error, psycopg.Error):
        diag = error.diag
        named = (error.sqlstate, diag.table_name, diag.column_name, diag.constraint_name)
        said = " ".join([said, *(name for name in named if name)])
    if isinstance(error, TOLD):
        # Only the first line: PostgreSQL's details and contexts quote rows and parameters.
        said += f": {str(error).partition(chr(10))[0]}"
    return said


def _chain(error: BaseException) -> list[BaseException]:
    """The error and what it came from, the first cause last."""
    found: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in found:
        found.append(following)
        following = following.__cause__ or (None if following.__suppress_context__ else following.__context__)
    return found


class JsonLines(logging.Formatter):
    """A record as JSON: time, level, logger, message, the correlation id if there is one, the errors and where."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        given = record.args
        if isinstance(given, tuple):
            record.args = tuple(told(arg) if isinstance(arg, BaseException) else arg for arg in given)
        line: dict[str, Any] = {
            "time": at(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        record.args = given
        if correlation_id := getattr(record, "correlation_id", None):
            line["correlation_id"] = correlation_id
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            chain = _chain(error)
            frames = traceback.extract_tb(error.__traceback__)[-FRAMES:]
            line["errors"] = [told(one) for one in chain]
            line["traceback"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        return orjson.dumps(line, default=repr).decode()


def log_to_stderr() -> None:
    """Warnings and errors of the process as JSON lines; the pool's own about connections say what others say."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.captureWarnings(True)
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
