"""The parts of `make soak` at a size for every change. (P1 to P7, P11)"""

from __future__ import annotations

from random import Random

import pytest
import uvloop
from starlette.routing import Route

from api.app import Fidelog
from api.backend import Backend
from api.settings import read
from tests.processes.fidelog_process import Folders
from tests.soak.findings import Findings, Tell
from tests.soak.held_to_document import held_to_document
from tests.soak.http_client import Connection
from tests.soak.kill_rounds import Size, kill_rounds
from tests.soak.large_bodies import large_bodies
from tests.soak.mutated_requests import mutated_requests
from tests.soak.requests import Ground
from tests.soak.sharing import share

SEED = 1
SMALL = Size(servers=2, before=80, after=60, replay_each_round=False)
BLOWS = ("kill -9 of both", "a writer's session stopped")

tell: Tell = print
pytestmark = pytest.mark.timeout(600)  # much is done; a machine that is busy elsewhere may take its time


def test_kill_rounds(folders: Folders) -> None:
    """With 50 commands in flight, killed and stopped processes lose nothing acknowledged and do nothing twice."""
    uvloop.run(kill_rounds(folders, SEED, tell, SMALL, BLOWS)).assert_passed()


def test_every_route_is_mutated() -> None:
    """No route is left out, also none that comes later."""
    app = Fidelog(Backend(read(environment={})))
    routes = {
        f"{method} {route.path}" for route in app.routes if isinstance(route, Route) for method in route.methods or ()
    }
    ground = Ground(Connection("http://127.0.0.1:1"), "127.0.0.1:1", Random(SEED))
    assert set(ground.routes) == {route for route in routes if not route.startswith("HEAD ")}


def test_mutated_requests(folders: Folders) -> None:
    """Requests that are nearly right are refused as documented, echo no value and store nothing."""
    uvloop.run(mutated_requests(folders, SEED, tell, 200)).assert_passed()


def test_large_bodies(folders: Folders) -> None:
    """Forty clients with bodies of a mebibyte are each answered, a small one among them too, within 400 MiB."""
    uvloop.run(large_bodies(folders, tell, clients=40, rounds=1)).assert_passed()


def test_held_to_the_document() -> None:
    """A failure among the generated requests, which run here as a test of their own, is one of the soak."""
    findings = held_to_document(SEED, tell, examples=1, methods=["PATCH"])
    assert [fault.partition(":")[0] for fault in findings.faults] == ["PATCH"], "no route has that method"


def test_agents_share_tasks(folders: Folders) -> None:
    """Sixteen agents share 1,500 tasks: each is completed once; stale tokens are refused and recorded."""
    server = folders.serve().ready()
    findings: Findings = uvloop.run(share(server.url, 1_500, SEED))
    findings.assert_passed()
    assert server.stop() == 0
