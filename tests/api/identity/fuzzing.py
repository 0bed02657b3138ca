"""Generated requests, each sent as everybody at once; every answer is held against the OpenAPI document."""

from __future__ import annotations

import time
from collections.abc import Sequence
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import schemathesis
from schemathesis.checks import CheckFunction
from schemathesis.config import SchemathesisConfig
from schemathesis.core.transport import Response
from schemathesis.generation.overrides import Override
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import ignored_auth

from api.app import Fidelog
from api.backend import Backend
from api.settings import Settings

ALSO = ("410", "412", "413", "422")
"""What the checks do not foresee: erased, at another version, too large, not valid beyond what a schema can say."""
ACCEPTED = ["2xx", "3xx", "401", "403", "404", "409", "429", "5xx", *ALSO]
REFUSED = ["400", "401", "403", "404", "405", "406", "409", "415", "422", "428", "429", "5xx", *ALSO]
SECONDS = 30.0
ANYWHERE = "http://127.0.0.1"


def prepared(case: schemathesis.Case) -> requests.PreparedRequest:
    """The request of a case, of nobody in particular."""
    return requests.Request(**case.as_transport_kwargs(ANYWHERE)).prepare()


def document(examples: int, seed: int) -> BaseSchema:
    """The document of a service that asks for credentials, with so many examples a route besides those it names and
    the corners of each schema. The same seed gives the same examples."""
    unused = Settings("127.0.0.1", 0, Path("unused"), Path("unused"))
    checks = {
        "positive_data_acceptance": {"expected-statuses": ACCEPTED},
        "negative_data_rejection": {"expected-statuses": sorted({*REFUSED})},
    }
    generation = {"max-examples": examples, "with-security-parameters": False, "database": "none"}
    config = SchemathesisConfig.from_dict({"seed": seed, "generation": generation, "checks": checks})
    return schemathesis.openapi.from_dict(Fidelog(Backend(unused)).openapi(), config=config)


class Sender:
    """Somebody who sends generated requests, on one connection. `credential` is an Authorization header, if any."""

    def __init__(self, name: str, url: str, credential: str | None, *, local: bool = False) -> None:
        self.name = name
        self._url = url
        self._session = requests.Session()
        self._connection = HTTPConnection(urlsplit(url).netloc, timeout=SECONDS)
        self._headers = {} if credential is None else {"Authorization": credential}
        self._enforced: set[str] = set()
        self._local = local

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
        target = request.url.removeprefix(ANYWHERE)
        request.url = self._url + target
        self._connection.request(request.method, target, request.body, dict(request.headers))
        return request

    def judge(self, case: schemathesis.Case, request: requests.PreparedRequest) -> int:
        """Take the answer and hold it against the document; its status. Raises FailureGroup."""
        found = self._connection.getresponse()
        content, headers = found.read(), dict[str, list[str]]()
        for name, value in found.getheaders():
            headers.setdefault(name.lower(), []).append(value)
        override = Override(headers=dict(self._headers))
        answer = Response(
            found.status, headers, content, request, 0.0, verify=False, encoding="utf-8", _override=override
        )
        label = case.operation.label
        case.validate_response(
            answer,
            headers=self._headers,
            excluded_checks=[ignored_auth] if self._local or label in self._enforced else [],
            transport_kwargs={"base_url": self._url, "session": self._session, "headers": dict(self._headers)},
        )
        if found.status < 300:
            self._enforced.add(label)  # that a route asks for a credential is so for every request
        return found.status
