"""Logs: a line of JSON each, which tells what went wrong and not with whose values."""

from __future__ import annotations

import io
import json
import logging
from typing import Any

import psycopg
import pytest
from pydantic import BaseModel, ValidationError

from api.logs import JsonLines, told
from api.request_log import RequestLog
from eventstore.errors import StatementFailed
from tests.clusters import CLEAR_NAMES, Cluster

NAME = CLEAR_NAMES[0]


class Model(BaseModel):
    """Something pydantic repeats the input of when it refuses it."""

    number: int


def line_of(message: str, *args: object, error: BaseException | None = None, **extra: str) -> dict[str, Any]:
    """What a record becomes."""
    exc_info = None if error is None else (type(error), error, error.__traceback__)
    record = logging.LogRecord("api.lean", logging.ERROR, __file__, 1, message, args, exc_info)
    record.__dict__.update(extra)
    line = JsonLines().format(record)
    assert "\n" not in line
    found: dict[str, Any] = json.loads(line)
    return found


def test_a_line_says_when_what_and_which_request() -> None:
    """Time, level, logger, message, correlation id."""
    line = line_of("%s %s failed", "GET", "/tasks", correlation_id="order-1")
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "error", "logger": "api.lean", "message": "GET /tasks failed", "correlation_id": "order-1"
    }  # fmt: skip


def test_an_error_is_told_without_its_words() -> None:
    """Types and places, the causes too; the words of an error may quote a value, wherever it is mentioned."""
    try:
        try:
            Model.model_validate({"number": NAME})
        except ValidationError as cause:
            raise KeyError(NAME) from cause
    except KeyError as error:
        line = line_of("failed: %s", error, error=error)
    assert NAME not in json.dumps(line, ensure_ascii=False)
    assert line["message"] == "failed: KeyError"
    assert line["errors"] == ["KeyError", "ValidationError"]
    assert "test_logs.py" in line["traceback"][-1]


def test_postgresql_is_told_by_code_and_names(pg: Cluster) -> None:
    """A refused row is named by its constraint; the detail, which quotes the row, is left out."""
    with psycopg.connect(pg.superuser_url) as connection:
        connection.execute("CREATE TEMP TABLE people (name text PRIMARY KEY)")
        connection.execute("INSERT INTO people VALUES ('somebody')")
        with pytest.raises(psycopg.Error) as refusal:
            connection.execute("INSERT INTO people VALUES ('somebody')")
    assert told(refusal.value) == "UniqueViolation 23505 people people_pkey"


def test_words_about_machines_are_told() -> None:
    """What a disk or a server says helps, and holds no value; a second line might."""
    assert told(OSError(28, "No space left on device")) == "OSError: [Errno 28] No space left on device"
    assert told(psycopg.OperationalError("connection refused\nDETAIL: x")) == "OperationalError: connection refused"
    assert told(StatementFailed("append", "53100", "disk full")) == "StatementFailed: append: 53100: disk full"


def test_a_request_is_a_line() -> None:
    """Method, route, status, milliseconds, who and which; nothing else."""
    stream = io.BytesIO()
    RequestLog(stream).write("GET", "/clients/{client_id}", 200, 0.0012345, "order-1", "user:local")
    line = json.loads(stream.getvalue())
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info", "logger": "requests", "method": "GET", "route": "/clients/{client_id}", "status": 200, "ms": 1.234,
        "correlation_id": "order-1", "actor": "user:local",
    }  # fmt: skip
