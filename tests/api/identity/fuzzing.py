"""Generated requests, each sent as everybody at once; every answer is held against the OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.core.transport import Response
from schemathesis.generation.case import Case
from schemathesis.generation.overrides import Override
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import ignored_auth

from api.app import Fidelog
from api.backend import Backend
from api.identity.actors import ACTOR
from api.identity.roles import STATING_A_PURPOSE
from api.settings import Settings
from tests.api.conftest import Caller

ALSO = ("410", "412", "413", "422")
"""What the checks do not foresee: erased, at another version, too large, not valid beyond what a schema can say."""
ACCEPTED = ("2xx", "3xx", "401", "403", "404", "409", "429", "5xx", *ALSO)
REFUSED = ("400", "401", "403", "404", "405", "406", "409", "415", "428", "429", "5xx", *ALSO)
SECONDS = 30.0
ANYWHERE = "http://127.0.0.1"
ALIKE = {"date"}
"""Headers in which answers to the same request may differ."""


def document(examples: int, seed: int) -> BaseSchema:
    """The document of a service that asks for credentials, with so many examples a route besides those it names and
    the corners of each schema. The same seed gives the same examples."""
    unused = Settings("127.0.0.1", 0, Path("unused"), Path("unused"))
    checks = {
        "positive_data_acceptance": {"expected-statuses": list(ACCEPTED)},
        "negative_data_rejection": {"expected-statuses": list(REFUSED)},
    }
    generation = {"max-examples": examples, "with-security-parameters": False, "database": "none"}
    config = SchemathesisConfig.from_dict({"seed": seed, "generation": generation, "checks": checks})
    return schemathesis.openapi.from_dict(Fidelog(Backend(unused)).openapi(), config=config)


class Sender:
    """Somebody who sends generated requests, on one connection; by `key` proven to be `actor`, with neither nobody, or
    the local operator."""

    def __init__(self, url: str, actor: str | None = None, key: object = None, roles: Iterable[str] = ()) -> None:
        self._url = url
        self._session = requests.Session()
        self._connection = HTTPConnection(urlsplit(url).netloc, timeout=SECONDS)
        self._actor = actor
        self._headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._states_purpose = not STATING_A_PURPOSE.isdisjoint(roles)
        self._enforced: set[str] = set()

    def close(self) -> None:
        """Hang up; what was sent and not answered is forgotten."""
        self._connection.close()
        self._session.close()

    def send(self, prepared: requests.PreparedRequest) -> requests.PreparedRequest:
        """Send the request as this caller and do not wait for its answer."""
        request = prepared.copy()
        assert request.method is not None
        assert request.url is not None
        request.headers.update(self._headers)
        if self._actor is not None and ACTOR.fullmatch(str(request.headers.get("fidelog-actor", ""))):
            request.headers["fidelog-actor"] = self._actor
        if self._states_purpose:
            request.headers.setdefault("fidelog-purpose", "supervision")
        target = request.url.removeprefix(ANYWHERE)
        request.url = self._url + target
        self._connection.request(request.method, target, request.body, dict(request.headers))
        return request

    def take(self, request: requests.PreparedRequest) -> Response:
        """The answer to what was sent."""
        found = self._connection.getresponse()
        headers = dict[str, list[str]]()
        for name, value in found.getheaders():
            headers.setdefault(name.lower(), []).append(value)
        return Response(
            found.status,
            headers,
            found.read(),
            request,
            0.0,
            verify=False,
            encoding="utf-8",
            _override=Override(headers=dict(self._headers)),
        )

    def judge(self, case: Case[Any], answer: Response, *, keyless: bool) -> None:
        """Hold the answer against the document. Raises FailureGroup."""
        label = case.operation.label
        case.validate_response(
            answer,
            headers=self._headers,
            excluded_checks=[ignored_auth] if keyless or label in self._enforced else [],
            transport_kwargs={"base_url": self._url, "session": self._session, "headers": dict(self._headers)},
        )
        if answer.status_code < 300:
            self._enforced.add(label)  # a route that asks for a credential once asks always


def bring_to_ground(case: Case[Any], caller: Caller) -> None:
    """Make a valid request about anything one about what there is: a task that is claimed, under its token; the first
    page of a list."""
    if not is_valid(case):
        return
    case.query.pop("cursor", None)
    if "task_id" in case.path_parameters:
        case.path_parameters["task_id"], token = caller.claimed()
        if isinstance(case.body, dict) and "claim_token" in case.body:
            case.body["claim_token"] = token


def wait_for_nothing(case: Case[Any]) -> None:
    """A valid request for a position that nobody has written is answered after seconds, by 503: ask for the first."""
    if is_valid(case) and "at_least" in case.query:
        case.query["at_least"] = 1


def sealed_only(case: Case[Any]) -> None:
    """A valid request for a proof of what was written just now is answered by 503: ask about what was sealed long ago."""
    if is_valid(case) and case.operation.label == "GET /audit/events/{position}/proof":
        case.path_parameters["position"] = 1
    if is_valid(case) and case.operation.label == "GET /audit/consistency":
        case.query = {"old": 1}


def is_valid(case: Case[Any]) -> bool:
    """Whether the document allows the request."""
    return case.meta is not None and case.meta.generation.mode.is_positive


def try_case(case: Case[Any], senders: Sequence[Sender], local: Sender) -> list[Response]:
    """Send the case as everybody, and hold each answer against the document; alike answers once. Raises FailureGroup."""
    everybody = [*senders, local]
    prepared = requests.Request(**case.as_transport_kwargs(ANYWHERE)).prepare()
    try:
        sent = [sender.send(prepared) for sender in everybody]
        answers = [sender.take(request) for sender, request in zip(everybody, sent, strict=True)]
    except BaseException:
        for sender in everybody:
            sender.close()
        raise
    seen = set[Any]()
    for sender, answer in zip(everybody, answers, strict=True):
        alike = answer.status_code, answer.content, str({n: v for n, v in answer.headers.items() if n not in ALIKE})
        if answer.status_code < 300 or alike not in seen:
            sender.judge(case, answer, keyless=sender is local)
        seen.add(alike)
    return answers
