"""One route mechanism for the whole API: bytes to command to bytes, documented by FastAPI, not slowed by it.

An `Operation` says all there is to know of a route, once. FastAPI gets a signature made from it for the OpenAPI
document; a request goes straight to the handler (dependency solving and response wrapping cost more than the audit).
"""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Annotated, Any
from uuid import uuid4

from fastapi import Body, Header, Path, Query
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field

from api.answer import NO_STORE, REVALIDATED, Answer
from api.bodies import Disconnected
from api.call import Call
from api.document import PATH_PARAMETERS, answer_headers, problem_headers
from api.headers import ReadHeaders, WriteHeaders
from api.identity.gate import Gate
from api.identity.roles import ROUTES
from api.intake import Intake
from api.problems import PROBLEMS, Problem, instance, type_uri
from api.request_log import RequestLog
from api.store_problems import problem_of
from api.streaming import StreamedAnswer
from eventstore.errors import StoreError

log = logging.getLogger(__name__)

Handler = Callable[[Call], Awaitable[Answer]]

ALWAYS = ("foreign-origin", "invalid-request", "request-timeout", "headers-too-large", "internal-error", "overloaded")
ON_NEED = ("unauthenticated", "forbidden")
WITH_BODY = ("malformed-json", "body-too-large", "unsupported-media-type")
ON_WRITES = (*WITH_BODY, "idempotency-key-reused", "client-erased")


TEXT, OCTETS, ZIP = "text/plain", "application/octet-stream", "application/zip"


class _Octets(Response):
    """For the document alone."""

    media_type = OCTETS


class _Zip(Response):
    """As well."""

    media_type = ZIP


WITH_SLASHES = ("tile", "bundle")
"""Path parameters that are the rest of the path."""


class NoQuery(BaseModel):
    """No parameter is known: one that is ignored would mislead whoever sent it."""

    model_config = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class Operation:
    """A route: how it is called, what it answers, what can go wrong, who handles it."""

    method: str
    path: str
    summary: str
    handler: Handler
    answer: type[BaseModel] | None
    """None: what `media` says."""
    status: int = 200
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    headers: type[BaseModel] | None = None
    problems: tuple[str, ...] = ()
    tag: str = ""
    description: str = ""
    authorise: Callable[[Call], Awaitable[None]] | None = None
    """Raises Problem (403) before the request is checked further."""
    free_json: str | None = None
    """The body's member that may hold any JSON."""
    documented: bool = True
    media: str = TEXT
    """What an answer without a model is."""

    @property
    def guarded(self) -> bool:
        """Whether If-Match has a meaning."""
        return self.headers is WriteHeaders

    @property
    def route(self) -> str:
        """The route's name: method and path template."""
        return f"{self.method} {self.path}"

    @property
    def all_problems(self) -> tuple[str, ...]:
        """Every problem this route can answer."""
        writes = ON_WRITES if self.body is not None else ()
        need = ROUTES[self.route]
        identity = ON_NEED if not need.public else ON_NEED[:1] if need.told_more else ()
        counted = ("rate-limited",) if self.counted else ()
        found = () if need.public else ("database-unavailable",)
        return tuple(dict.fromkeys((*writes, *identity, *self.problems, *ALWAYS, *counted, *found)))

    @property
    def counted(self) -> bool:
        """Whether how often a caller asks is counted. Probes and documents are not."""
        need = ROUTES[self.route]
        return not need.public and not need.of_process


class LeanRoute(APIRoute):
    """A route of FastAPI's whose requests go straight to the operation's handler.

    `require` raises when the database cannot be asked yet; routes that anybody may call do without it. `gate` gives the
    gate there is then.
    """

    def __init__(
        self,
        operation: Operation,
        require: Callable[[], None] | None,
        gate: Callable[[], Gate | None],
        intake: Intake,
        requests: RequestLog | None = None,
    ) -> None:
        self.operation = operation
        self.allowed = operation.method
        """The methods of the path, for 405."""
        self._need = ROUTES[operation.route]
        self._require = require
        self._gate = gate
        self._intake = intake
        self._requests = requests
        self._kept = REVALIDATED if operation.headers is ReadHeaders else NO_STORE
        super().__init__(
            re.sub(rf"{{({'|'.join(WITH_SLASHES)})}}", r"{\1:path}", operation.path),
            _signature(operation),
            methods=[operation.method],
            response_model=operation.answer,
            response_class=_response_class(operation),
            status_code=operation.status,
            summary=operation.summary,
            description=operation.description,
            tags=[operation.tag],
            responses=_responses(operation),
            include_in_schema=operation.documented,
            operation_id=re.sub(r"\W+", "_", f"{operation.method.lower()}{operation.path}").strip("_"),
        )
        self.path = operation.path

    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request; whatever happens, with a problem or with what was asked for."""
        operation, call = self.operation, Call(scope)
        started = perf_counter() if self._requests is not None else 0.0
        try:
            answer = await self._answer(operation, call, receive)
        except Disconnected:
            return
        except Exception as error:
            problem = _failure(error, operation, call)
            gate = self._gate()
            if problem.slug == "forbidden" and gate is not None:
                await gate.refused(call, operation.route, problem)
            answer = problem.answer(instance(scope), call.correlation_id)
        answer.headers.append(answer.kept or self._kept)
        if isinstance(answer, StreamedAnswer):
            answer.receive = receive
        if call.correlation_id is not None:
            answer.headers.append((b"fidelog-correlation-id", call.correlation_id.encode()))
        await answer.send(send)
        if self._requests is not None:
            self._requests.write(
                scope["method"],
                operation.path,
                answer.status,
                perf_counter() - started,
                call.correlation_id,
                call.actor,
            )

    async def _answer(self, operation: Operation, call: Call, receive: Any) -> Answer:
        """The first fault in contract order wins: 405, 431, 413, 415, 400, 401, 429, 403, 422, then what the handler
        finds."""
        if call.scope["method"] != operation.method:
            raise Problem("method-not-allowed", headers={"allow": self.allowed})
        intake = self._intake
        scope, most = call.scope, intake.limits.header_bytes
        if call.header_bytes + len(scope["raw_path"]) + len(scope["query_string"]) > most:
            raise Problem("headers-too-large", f"The request's line and headers may have at most {most} bytes")
        if operation.body is not None:
            await call.read_body(receive, intake.bodies)
        need = self._need
        if self._require is not None:
            self._require()
        gate = self._gate()
        if gate is not None:
            await gate.identify(call, need, operation.route)
            if call.caller is not None and call.caller.counted_as and operation.counted:
                intake.admit(call.caller.counted_as)
            gate.authorise(call, need)
        if operation.authorise is not None:
            await operation.authorise(call)
        query = operation.query or NoQuery
        call.check(operation.body, query, operation.free_json, guarded=operation.guarded, personal=need.personal)
        answer = await operation.handler(call)
        if call.shows and gate is not None:
            await gate.record(call, operation.route)
        return answer


def _failure(error: Exception, operation: Operation, call: Call) -> Problem:
    """The problem an exception is answered as; one that nobody foresaw is logged, and tells the caller nothing but
    the correlation id to find it by."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, StoreError):
        return problem_of(error)
    call.correlation_id = call.correlation_id or str(uuid4())
    named = {"correlation_id": call.correlation_id}
    log.error("%s %s failed", operation.method, operation.path, exc_info=error, extra=named)
    return Problem("internal-error")


def _signature(operation: Operation) -> Callable[..., Any]:
    """A function with the parameters FastAPI documents. Never called: requests go to the handler."""

    async def documented() -> None:
        raise AssertionError("requests go to the operation's handler")

    names = re.findall(r"{(\w+)(?::\w+)?}", operation.path)
    kinds: dict[str, Any] = {
        name: Annotated[str, Path(), Field(json_schema_extra=PATH_PARAMETERS[name])] for name in names
    }
    if operation.query is not None:
        kinds["query"] = Annotated[operation.query, Query()]
    if operation.headers is not None:
        kinds["headers"] = Annotated[operation.headers, Header()]
    if operation.body is not None:
        kinds["body"] = Annotated[operation.body, Body()]
    parameters = [inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY, annotation=k) for n, k in kinds.items()]
    documented.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # read by inspect
    documented.__name__ = operation.handler.__name__
    return documented


def _response_class(operation: Operation) -> type[Response]:
    if operation.answer is not None:
        return JSONResponse
    return {OCTETS: _Octets, ZIP: _Zip}.get(operation.media, PlainTextResponse)


def _responses(operation: Operation) -> dict[int | str, dict[str, Any]]:
    by_status: dict[int, list[str]] = {}
    for slug in operation.all_problems:
        by_status.setdefault(PROBLEMS[slug][0], []).append(slug)
    responses: dict[int | str, dict[str, Any]] = {status: _problem(slugs) for status, slugs in by_status.items()}
    headers = answer_headers(operation.headers, operation.query, write=operation.method != "GET")
    responses[operation.status] = {"headers": headers}
    if operation.headers is ReadHeaders:
        responses[304] = {"description": "Not modified since the version in If-None-Match", "headers": headers}
    return responses


def _problem(slugs: list[str]) -> dict[str, Any]:
    examples: dict[str, Mapping[str, Any]] = {
        slug: {
            "value": {
                "type": type_uri(slug),
                "title": PROBLEMS[slug][1],
                "status": PROBLEMS[slug][0],
                "detail": PROBLEMS[slug][1],
                "instance": "/clients",
            }
        }
        for slug in slugs
    }
    content = {"schema": {"$ref": "#/components/schemas/ProblemOut"}, "examples": examples}
    return {
        "description": "; ".join(PROBLEMS[slug][1] for slug in slugs),
        "headers": problem_headers(PROBLEMS[slugs[0]][0], slugs),
        "content": {"application/problem+json": content},
    }
