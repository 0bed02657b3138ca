"""The application: routes, the OpenAPI document, and the answers to paths that no route has."""

from __future__ import annotations

import sys
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api import __version__
from api.answer import NO_STORE, Answer
from api.backend import Backend
from api.call import Call
from api.document import finish
from api.identity.roles import ROUTES
from api.intake import Intake
from api.lean import LeanRoute, Operation
from api.models.health import StatusOut
from api.models.problems import ProblemOut
from api.problems import Problem, instance
from api.request_log import RequestLog
from api.routes.admin import AdminRoutes
from api.routes.audit import AuditRoutes
from api.routes.clients import ClientRoutes
from api.routes.erasure import ErasureRoutes
from api.routes.health import HealthRoutes
from api.routes.holds import HoldRoutes
from api.routes.log import LogRoutes
from api.routes.proofs import ProofRoutes
from api.routes.task_ends import TaskEndRoutes
from api.routes.tasks import TaskRoutes
from api.routes.timeline import TimelineRoutes
from api.task_facts import TaskFacts
from api.writes import Writes

DESCRIPTION = """The system of record for a wealth manager's AI agents: every client update and agent decision is
appended to an immutable log; read models and the whole audit trail are served from it."""


class Fidelog(FastAPI):
    """FastAPI for its routing and its OpenAPI document. Nothing stands between the server and the routes: they
    answer every error themselves, and a layer that no route needs would cost every request."""

    def __init__(self, backend: Backend) -> None:
        super().__init__(
            title="Fidelog",
            version=__version__,
            description=DESCRIPTION,
            docs_url=None,
            redoc_url=None,
            openapi_url=None,
            redirect_slashes=False,
        )
        self._backend = backend
        self.intake = Intake(backend.settings.limits)
        self._requests = RequestLog(sys.stderr.buffer) if backend.settings.request_log else None
        writes, facts = Writes(backend), TaskFacts(backend)
        areas = (
            ClientRoutes(backend, writes),
            TaskRoutes(backend, writes, facts),
            TaskEndRoutes(backend, writes, facts),
            HoldRoutes(backend, writes),
            ErasureRoutes(backend, writes),
            AuditRoutes(backend),
            ProofRoutes(backend),
            TimelineRoutes(backend),
            LogRoutes(backend),
            AdminRoutes(backend, writes),
            HealthRoutes(backend),
        )
        document = Operation(
            "GET", "/openapi.json", "This document", self._document, answer=StatusOut, documented=False
        )
        operations = [operation for area in areas for operation in area.operations()]
        lean = [self._route(operation) for operation in (*operations, document)]
        self.router.routes += lean
        self.router.default = self._no_route
        for route in lean:
            route.allowed = ", ".join(sorted(r.operation.method for r in lean if r.path == route.path))
        self._at = {route.path: route for route in lean if "{" not in route.path}
        self._direct = {(route.operation.method, route.path): route for route in lean if "{" not in route.path}

    def _route(self, operation: Operation) -> LeanRoute:
        backend = self._backend
        open_here = ROUTES[operation.route].public or operation.route in backend.settings.opened
        require = None if open_here else backend.require
        return LeanRoute(operation, require, backend.gate, self.intake, self._requests)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """A path without parameters is looked up; whatever the method, no route with a parameter takes it. The router
        tries the others, one pattern after the other."""
        path = scope.get("path")
        route = self._direct.get((scope.get("method"), path)) or self._at.get(path)
        if route is None:
            await self.router(scope, receive, send)
        else:
            scope["path_params"] = {}
            await route.handle(scope, receive, send)

    async def _no_route(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
            return
        answer = Problem("not-found", "There is nothing at this path").answer(instance(scope))
        answer.headers.append(NO_STORE)
        await answer.send(send)
        if self._requests is not None:
            self._requests.write(scope["method"], None, answer.status, 0.0, None, None)

    async def _document(self, call: Call) -> Answer:
        return Answer(200, orjson.dumps(self.openapi()))

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI 3.1 document."""
        if self.openapi_schema is None:
            document = get_openapi(
                title=self.title, version=self.version, description=self.description, routes=self.routes
            )
            schemas = document["components"]["schemas"]
            problem = ProblemOut.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas.update(problem.pop("$defs"))
            schemas["ProblemOut"] = problem
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            finish(document, keyless=self._backend.settings.keyless, opened=self._backend.settings.opened)
            self.openapi_schema = document
        return self.openapi_schema
