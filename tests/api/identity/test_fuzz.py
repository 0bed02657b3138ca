"""The OpenAPI document is true for everybody: what it allows is answered as it says, what it forbids is refused."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import pytest
from schemathesis.generation.case import Case

from api.identity.roles import ROLES
from tests.api.conftest import Caller
from tests.api.identity.conftest import Door
from tests.api.identity.fuzzing import (
    Sender,
    bring_to_ground,
    document,
    is_valid,
    sealed_only,
    try_case,
    wait_for_nothing,
)
from tests.running import running_api

EXAMPLES = int(os.environ.get("FIDELOG_TEST_EXAMPLES", "50"))
SEED = int(os.environ.get("FIDELOG_TEST_SEED", "1"))
EXPORTS = max(3, EXAMPLES // 20)
"""So many are made: each waits until it is sealed, as everybody."""
METHODS = os.environ.get("FIDELOG_TEST_METHODS", "GET POST DELETE").split()
"""`make soak` gives more examples and others, in two halves."""

schema = document(EXAMPLES, SEED).include(method=METHODS)


@dataclass
class Ground:
    """Who sends, and whose tasks requests are about. The last of `everybody` has every role."""

    everybody: list[Sender]
    local: Sender
    operator: Caller
    numbers: Iterator[int] = field(default_factory=count)
    exports: Iterator[int] = field(default_factory=count)


@pytest.fixture(scope="module")
def ground(door: Door) -> Iterator[Ground]:
    """A service that asks for credentials and one of the local operator, on the same database."""
    actors = {f"user:{role}": [role] for role in ROLES} | {"user:all": list(ROLES)}
    with ExitStack() as stack:
        keyless = stack.enter_context(running_api(replace(door.api.backend.settings, keyless=True)))
        proven = [Sender(door.api.url, actor, door.key(actor, *roles), roles) for actor, roles in actors.items()]
        found = Ground([Sender(door.api.url), *proven], Sender(keyless.url), Caller(keyless.client))
        for sender in (*found.everybody, found.local):
            stack.enter_context(closing(sender))
        yield found


@schema.parametrize()
@pytest.mark.timeout(3600)
def test_a_route_keeps_to_its_document(case: Case[Any], ground: Ground) -> None:
    """Statuses, media types, bodies and headers as declared, nothing forbidden accepted, no 5xx: for nobody, each role,
    all of them, and the local operator. The corners of each schema are tried as the last two."""
    assert case.meta is not None
    wait_for_nothing(case)
    sealed_only(case)
    if is_valid(case) and case.operation.label == "GET /audit/export" and next(ground.exports) >= EXPORTS:
        return
    if next(ground.numbers) % 2:
        bring_to_ground(case, ground.operator)
    corner = case.meta.phase.name.value == "coverage"
    answers = try_case(case, ground.everybody[-1:] if corner else ground.everybody, ground.local)
    assert all(answer.status_code < 500 for answer in answers)
