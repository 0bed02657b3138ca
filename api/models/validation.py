"""What pydantic finds in bodies and queries, in the words of an answer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import get_origin

from pydantic import BaseModel, ValidationError

from api.json_body import escape
from api.problems import Fault


@cache
def asked_nothing(model: type[BaseModel]) -> BaseModel | None:
    """What a request without a query string asks; nobody changes it. None where something must be asked."""
    return None if any(field.is_required() for field in model.model_fields.values()) else model()


@cache
def list_parameters(model: type[BaseModel]) -> frozenset[str]:
    """The query parameters that may be repeated: those the model declares as lists."""
    fields = model.model_fields.items()
    return frozenset(field.alias or name for name, field in fields if get_origin(field.annotation) is list)


_MESSAGES = {
    "missing": "is required",
    "extra_forbidden": "is not a known field",
    "string_pattern_mismatch": "does not have the required form",
    "model_type": "must be a JSON object",
    "dict_type": "must be a JSON object",
    "string_type": "must be a string",
    "int_type": "must be an integer",
}


def faults_of(error: ValidationError, kind: str) -> Sequence[Fault]:
    """pydantic's errors as faults, without the values they are about."""
    faults: list[Fault] = []
    for item in error.errors(include_url=False, include_input=False):
        place = [str(part) for part in item["loc"]]
        where = "".join("/" + escape(part) for part in place) if kind == "pointer" else "".join(place[:1])
        message = _MESSAGES.get(item["type"], item["msg"].removeprefix("Value error, "))
        faults.append({kind: where, "message": message})
    return faults
