"""The OpenAPI document: complete, consistent, and true where it gives examples."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

import pytest

from api.app import Fidelog
from api.backend import Backend
from api.identity.roles import ROUTES
from api.lean import LeanRoute
from api.problems import PROBLEMS
from tests.api.conftest import Caller, fresh_client
from tests.running import RunningApi

Document = dict[str, Any]


@pytest.fixture(scope="module")
def document(caller: Caller) -> Document:
    """The document as served."""
    answer = caller.http.get("/openapi.json")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    document: Document = answer.json()
    return document


def operations(document: Document) -> dict[tuple[str, str], dict[str, Any]]:
    """Each documented operation by method and path."""
    return {
        (method.upper(), path): operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }


def resolve(document: Document, schema: dict[str, Any]) -> dict[str, Any]:
    """The schema a reference names."""
    while "$ref" in schema:
        place = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            place = place[part]
        schema = place
    return schema


def references(value: Any) -> set[str]:
    """Every $ref below a value."""
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*map(references, value.values()))
    return set().union(*map(references, value)) if isinstance(value, list) else set()


def test_it_is_openapi_3_1(document: Document) -> None:
    """The version, a title, and the product's version."""
    assert document["openapi"].startswith("3.1.")
    assert document["info"]["title"] == "Fidelog"
    assert document["info"]["version"]


def test_every_route_is_documented_and_no_other(shared_api: RunningApi, document: Document) -> None:
    """The document and the application have the same operations."""
    routes = {
        ("POST", "/clients"), ("GET", "/clients/{client_id}"), ("POST", "/tasks"), ("POST", "/tasks/claim"),
        ("POST", "/tasks/{task_id}/result"), ("GET", "/tasks/{task_id}"), ("GET", "/audit/events"),
        ("GET", "/audit/events/{position}"), ("GET", "/clients/{client_id}/timeline"), ("GET", "/livez"),
        ("GET", "/readyz"), ("GET", "/metrics"),
    }  # fmt: skip
    app: Any = shared_api._server.config.app
    operations_of = [route.operation for route in app.routes if isinstance(route, LeanRoute)]
    served = {(operation.method, operation.path) for operation in operations_of if operation.documented}
    assert set(operations(document)) == served
    assert routes <= served


def test_references_lead_somewhere_and_names_are_unique(document: Document) -> None:
    """Every $ref resolves; every operation has an id of its own, a summary and a tag."""
    for reference in references(document):
        resolve(document, {"$ref": reference})
    found = operations(document).values()
    assert len({operation["operationId"] for operation in found}) == len(found)
    assert all(operation["summary"] and operation["tags"] for operation in found)


def test_every_problem_is_declared_as_problem_json(shared_api: RunningApi, document: Document) -> None:
    """Each route declares each problem it can answer: status, media type, schema, an example by slug."""
    app: Any = shared_api._server.config.app
    for route in app.routes:
        if not isinstance(route, LeanRoute) or not route.operation.documented:
            continue
        operation = operations(document)[route.operation.method, route.operation.path]
        for slug in route.operation.all_problems:
            content = operation["responses"][str(PROBLEMS[slug][0])]["content"]
            assert set(content) == {"application/problem+json"}
            example = content["application/problem+json"]["examples"][slug]["value"]
            assert (example["type"], example["status"]) == (f"urn:fidelog:problem:{slug}", PROBLEMS[slug][0])
            schema = resolve(document, content["application/problem+json"]["schema"])
            assert {"type", "title", "status", "detail", "instance"} <= set(schema["properties"])


MEDIA = {
    "/metrics": "text/plain", "/audit/events/{position}/proof": "text/plain", "/audit/export": "application/zip",
    "/log/{tenant}/checkpoint": "text/plain", "/log/{tenant}/tile/{tile}": "application/octet-stream",
    "/log/{tenant}/tile/entries/{bundle}": "application/octet-stream",
}  # fmt: skip
"""What is not JSON."""


def test_what_a_route_answers_is_declared(document: Document) -> None:
    """Errors are declared as problems only, successes as JSON with a schema or what else they are, writes with 415, 413, 400
    and 422."""
    for (method, path), operation in operations(document).items():
        statuses = {int(status) for status in operation["responses"]}
        for status, response in operation["responses"].items():
            kinds = set(response.get("content", {}))
            success = MEDIA.get(path, "application/json")
            expected = set() if status == "304" else {success if status < "300" else "application/problem+json"}
            assert kinds == expected, (method, path, status)
        if method == "POST":
            assert {400, 403, 413, 415, 422, 500, 503} <= statuses, path


def test_304_is_declared_exactly_where_if_none_match_is(document: Document) -> None:
    """A list has no ETag, so it never answers 304 and does not say it does."""
    for (method, path), operation in operations(document).items():
        parameters = {parameter["name"].lower() for parameter in operation.get("parameters", [])}
        assert ("if-none-match" in parameters) == ("304" in operation["responses"]), (method, path)


def test_queries_headers_and_bounds_are_declared(document: Document) -> None:
    """Every parameter with its place; the list's bounds; bodies closed against unknown fields."""
    found = operations(document)
    listed = {parameter["name"]: parameter for parameter in found["GET", "/audit/events"]["parameters"]}
    assert {"limit", "cursor", "order", "stream"} <= set(listed)
    assert (listed["limit"]["schema"]["minimum"], listed["limit"]["schema"]["maximum"]) == (1, 500)
    for (method, _), operation in found.items():
        names = {parameter["name"].lower() for parameter in operation.get("parameters", [])}
        if method == "POST":
            assert {"idempotency-key", "fidelog-actor", "fidelog-correlation-id", "traceparent"} <= names
            body = resolve(document, operation["requestBody"]["content"]["application/json"]["schema"])
            assert body["additionalProperties"] is False


def test_who_may_ask_is_declared(shared_api: RunningApi, document: Document) -> None:
    """A bearer credential with one of the route's scopes, or none where none is needed: here, nowhere, for everybody is
    the local operator; where callers must prove who they are, on the public routes only."""
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    settings = replace(shared_api.backend.settings, keyless=False, host="192.0.2.1")
    closed = operations(Fidelog(Backend(settings)).openapi())
    for (method, path), operation in operations(document).items():
        need = ROUTES[f"{method} {path}"]
        proven = [{"bearer": [scope]} for scope in need.scopes]
        anybody: list[Any] = [{}] if need.scopes or need.told_more else []
        assert operation["security"] == (proven or [{"bearer": []}] * need.told_more) + anybody, path
        assert closed[method, path]["security"] == (proven or operation["security"]), path
        if need.scopes:
            assert operation["responses"]["401"]["headers"]["WWW-Authenticate"]["required"]


def test_no_parameter_can_be_null(document: Document) -> None:
    """What is not wanted is left out; every path parameter has a form, and every header that is checked a pattern."""
    unchecked = {"if-none-match", "traceparent"}
    for operation in operations(document).values():
        for parameter in operation.get("parameters", []):
            schema = parameter["schema"]
            assert {"type": "null"} not in schema.get("anyOf", []), parameter
            if parameter["in"] == "path":
                assert "pattern" in schema or schema["type"] == "integer", parameter
            elif parameter["in"] == "header":
                assert ("pattern" in schema) == (parameter["name"] not in unchecked), parameter


def body_examples(document: Document, path: str) -> list[Any]:
    """The example bodies of a POST route, from its content and its schema."""
    content = operations(document)["POST", path]["requestBody"]["content"]["application/json"]
    schema = resolve(document, content["schema"])
    named = [example["value"] for example in content.get("examples", {}).values()]
    plain = [place["example"] for place in (content, schema) if "example" in place]
    return [*named, *plain, *schema.get("examples", [])]


def test_every_documented_body_is_accepted_by_its_route(caller: Caller, document: Document) -> None:
    """Played in order the examples tell one story; only the claim token is the one just given."""
    paths = [path for method, path in operations(document) if method == "POST"]
    ends = [f"/tasks/{{task_id}}/{end}" for end in ("release", "result", "failure", "cancel")]
    about = "/clients/{client_id}"
    holds = [f"{about}/holds", f"{about}/holds/{{hold_id}}/lift"]
    asked, approved, withdrawn = (f"{about}/erasure{end}" for end in ("", "/approval", "/withdrawal"))
    of_client = [*holds, asked, withdrawn, asked, approved, "/clients", f"{about}/retention"]
    assert set(paths) == {"/admin/keys", "/clients", "/tasks", "/tasks/claim", *ends, *of_client}
    task_id = token = client_id = ""
    story = ["/clients", "/tasks", "/tasks/claim", ends[0], "/tasks/claim", ends[1]]
    for path in (*story, "/tasks", "/tasks/claim", ends[2], "/tasks", ends[3], *of_client, "/admin/keys"):
        examples = body_examples(document, path)
        assert examples, path
        for example in examples:
            body = {**example, **({"claim_token": token} if "claim_token" in example else {})}
            if path == "/tasks":
                body["task_id"] = str(uuid.uuid4())
            if path == "/clients":
                body["client_id"] = client_id = fresh_client()
            if path == "/tasks":
                body["client_id"] = client_id
            ids = {"task_id": task_id, "client_id": client_id, "hold_id": "matter-4711"}
            who = {"fidelog_actor": "user:second"} if path == approved else {}
            answer = caller.post(path.format(**ids), body, **who)
            assert answer.status_code < 300, answer.text
            schema = operations(document)["POST", path]["responses"][str(answer.status_code)]["content"]
            properties = resolve(document, schema["application/json"]["schema"])["properties"]
            assert list(answer.json()) == list(properties)
            task_id = body.get("task_id", task_id)
            for task in answer.json().get("tasks", []):
                token = task["claim_token"]


def test_answers_have_the_keys_the_document_declares(caller: Caller, document: Document) -> None:
    """Reads answer exactly the declared properties, in the declared order."""
    task_id, _ = caller.claimed()
    task = caller.http.get(f"/tasks/{task_id}").json()
    reads = {
        "/clients/{client_id}": f"/clients/{task['client_id']}",
        "/tasks/{task_id}": f"/tasks/{task_id}",
        "/tasks": "/tasks",
        "/clients/{client_id}/tasks": f"/clients/{task['client_id']}/tasks",
        "/clients/{client_id}/erasure": f"/clients/{task['client_id']}/erasure",
        "/audit/events": "/audit/events",
        "/audit/events/{position}": "/audit/events/1",
        "/admin/keys": "/admin/keys",
        "/livez": "/livez",
        "/readyz": "/readyz",
    }
    for template, path in reads.items():
        content = operations(document)["GET", template]["responses"]["200"]["content"]["application/json"]
        properties = resolve(document, content["schema"])["properties"]
        optional = {"open_tasks", "witnesses"}  # there only when asked for, or where there are any
        assert list(caller.http.get(path).json()) == [name for name in properties if name not in optional], path
