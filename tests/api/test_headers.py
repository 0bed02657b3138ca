"""Headers: who asks and from where, keys, versions, correlation."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import pytest

from tests.api.conftest import Caller, client_body, fresh_agent, fresh_client, places, problem, task_body
from tests.running import RunningApi

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
PATHS = ("/livez", "/readyz", "/clients/c", "/audit/events/1")


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "0.0.0.0", "192.168.0.1", "", "127.0.0.2",
             "evil.example:8000", "localhost@evil.example", "localhost:80:80", "[::2]", "127.1", "2130706433"],
)  # fmt: skip
def test_a_foreign_host_is_refused(caller: Caller, host: str) -> None:
    """A name that was made to resolve to loopback reaches nothing: 403, reads and writes alike."""
    caller.refused("foreign-origin", "POST", "/clients", json=client_body(fresh_client()), headers={"host": host})
    for path in PATHS:
        problem(caller.http.get(path, headers={"host": host}), "foreign-origin")


def test_the_openapi_document_is_served_to_local_hosts_only(caller: Caller) -> None:
    """The rule has no exception: what the server is, is not told to a foreign page either."""
    problem(caller.http.get("/openapi.json", headers={"host": "evil.example"}), "foreign-origin")
    problem(caller.http.get("/openapi.json", headers={"origin": "http://evil.example"}), "foreign-origin")


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "[::1]", "localhost:8000", "127.0.0.1:1", "[::1]:65535", "LocalHost"]
)
def test_local_hosts_are_taken(caller: Caller, host: str) -> None:
    """The three loopback names work with any port and in any case."""
    assert caller.http.get("/livez", headers={"host": host}).status_code == 200


def test_a_request_without_host_is_refused(shared_api: RunningApi) -> None:
    """No Host header is no local Host header."""
    parts = urlsplit(shared_api.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
        connection.sendall(b"GET /audit/events HTTP/1.0\r\n\r\n")
        answer = connection.makefile("rb").read()
    assert b"403" in answer.split(b"\r\n")[0]
    assert b"urn:fidelog:problem:foreign-origin" in answer


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "", "file://", "http://127.0.0.1.evil.example", "localhost"]
)
def test_a_foreign_origin_is_refused(caller: Caller, origin: str) -> None:
    """A page of another origin reaches nothing, even when the browser would not let it read the answer."""
    body, headers = client_body(fresh_client()), {"origin": origin}
    caller.refused("foreign-origin", "POST", "/clients", json=body, headers=headers)
    problem(caller.http.get("/audit/events", headers=headers), "foreign-origin")


def test_another_local_port_is_a_foreign_origin(caller: Caller) -> None:
    """An origin is scheme, host and port: a page of another local server is foreign; our own is not."""
    headers = {"host": "localhost:8000", "origin": "http://localhost:3000"}
    problem(caller.http.get("/audit/events", headers=headers), "foreign-origin")
    headers["origin"] = "http://localhost:8000"
    assert caller.http.get("/audit/events", headers=headers).status_code == 200


@pytest.mark.parametrize("key", ["!", "~", "k" * 255, '"' + "q" * 255 + '"', '"a\\"b"', "a,b;c=d"])
def test_idempotency_keys_at_the_edges_are_taken(caller: Caller, key: str) -> None:
    """1 to 255 visible ASCII characters, bare or quoted; outer white space is HTTP's."""
    body = client_body(fresh_client())
    first, second = (caller.post("/clients", body, idempotency_key=key) for _ in range(2))
    assert (first.status_code, second.status_code) == (200, 200)
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize(
    "key", [b"", b'""', b'"', b'"a', b'"a"b', b"a b", b'"a b"', b"k" * 256, b'"' + b"k" * 256 + b'"', b"\xe9", "é".encode(),
            b'"\\x"', b"a\tb"],
)  # fmt: skip
def test_other_idempotency_keys_are_refused(caller: Caller, key: bytes) -> None:
    """Empty, too long, non-ASCII, spaces, half a quoted string: 422 at the header, nothing stored."""
    body = client_body(fresh_client())
    content = caller.refused("invalid-request", "POST", "/clients", json=body, headers=[(b"idempotency-key", key)])
    assert places(content) == {"Idempotency-Key"}


@pytest.mark.parametrize("name", ["Idempotency-Key", "Fidelog-Actor", "Fidelog-Correlation-Id"])
def test_a_header_given_twice_is_refused(caller: Caller, name: str) -> None:
    """Which of two values counts is not guessed, even when they are equal."""
    value = "user:local"
    content = caller.refused(
        "invalid-request", "POST", "/clients", json=client_body(fresh_client()), headers=[(name, value), (name, value)]
    )
    assert {place.lower() for place in places(content)} == {name.lower()}


@pytest.mark.parametrize("tag", ["{0}", '"{1}"', '"{1}.other"', '"0", {0}', '"x" , {0}', "*"])
def test_if_match_that_names_the_version_lets_a_write_through(caller: Caller, tag: str) -> None:
    """The version in the tag counts, in a list too; * is any version that exists."""
    client_id = caller.client()
    etag = caller.http.get(f"/clients/{client_id}").headers["etag"]
    assert etag.startswith('"1')
    answer = caller.post("/clients", client_body(client_id), if_match=tag.format(etag, 1))
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    "tag", ['"2.client"', '"0"', '"x"', '""', 'W/"1.client"', '"11.client"', '"9999999999999999999"']
)
def test_if_match_of_another_version_refuses_the_write(caller: Caller, tag: str) -> None:
    """A stale, foreign or weak tag is 412 with the version there is; nothing is stored."""
    body = client_body(caller.client(), risk_profile="growth")
    content = caller.refused("version-mismatch", "POST", "/clients", json=body, headers={"if-match": tag})
    assert content["current_version"] == 1


def test_if_match_on_what_does_not_exist_is_refused(caller: Caller) -> None:
    """No version, and not even *, matches a client that was never onboarded."""
    for tag in ("*", '"0"', '"1.client"'):
        headers = {"if-match": tag}
        content = caller.refused(
            "version-mismatch", "POST", "/clients", json=client_body(fresh_client()), headers=headers
        )
        assert content["current_version"] == 0


@pytest.mark.parametrize("tag", ["", "1", "1.client", '"1', "W/1", "*, *", '"1" "2"', ","])
def test_an_if_match_that_is_no_entity_tag_is_refused(caller: Caller, tag: str) -> None:
    """A precondition that cannot be read is not ignored: 422."""
    body = client_body(caller.client())
    content = caller.refused("invalid-request", "POST", "/clients", json=body, headers={"if-match": tag})
    assert places(content) == {"If-Match"}


@pytest.mark.parametrize(
    ("tag", "status"), [("{0}", 304), ("W/{0}", 304), ('"x", {0}', 304), ("*", 304), ('"0"', 200), ("", 200)]
)
def test_if_none_match_spares_a_read(caller: Caller, tag: str, status: int) -> None:
    """304 without a body but with ETag while the tag is current, weakly compared; 200 after a change."""
    client_id = caller.client()
    for path in (f"/clients/{client_id}", f"/tasks/{caller.task(client_id=client_id)}"):
        etag = caller.http.get(path).headers["etag"]
        answer = caller.http.get(path, headers={"if-none-match": tag.format(etag)})
        assert (answer.status_code, answer.headers["etag"]) == (status, etag)
        assert (answer.content == b"") == (status == 304)
    old = caller.http.get(f"/clients/{client_id}").headers["etag"]
    caller.post("/clients", client_body(client_id, risk_profile="growth"))
    assert caller.http.get(f"/clients/{client_id}", headers={"if-none-match": old}).status_code == 200


@pytest.mark.parametrize(
    "actor", ["agent:x", "agent:rebalancing_agent@1.2.0", "user:local", "user:a.b:c-d", "agent:" + "x" * 128]
)
def test_the_actor_named_is_the_actor_recorded(caller: Caller, actor: str) -> None:
    """Fidelog-Actor names who acts; it stands on the event."""
    client_id = fresh_client()
    assert caller.post("/clients", client_body(client_id), fidelog_actor=actor).status_code == 200
    assert caller.events(stream=f"client-{client_id}")[0]["actor"] == actor


def test_without_an_actor_the_local_user_acts(caller: Caller) -> None:
    """Keyless loopback calls are recorded as user:local."""
    assert caller.events(stream=f"client-{caller.client()}")[0]["actor"] == "user:local"


@pytest.mark.parametrize(
    "actor", [b"", b"x", b"agent:", b"agent:.x", b"agent:x y", b"Agent:x", b"robot:x", b"agent:x@", b"agent:x@@1", b"agent:\xe9",
              b"agent:" + b"x" * 129, b"agent:x,user:y", b"system:sealer"],
)  # fmt: skip
def test_another_actor_is_refused(caller: Caller, actor: bytes) -> None:
    """Only agents and users act through the API: 422 at the header, on reads too."""
    body, headers = client_body(fresh_client()), [(b"fidelog-actor", actor)]
    assert places(caller.refused("invalid-request", "POST", "/clients", json=body, headers=headers)) == {
        "Fidelog-Actor"
    }
    assert places(problem(caller.http.get("/audit/events", headers=headers), "invalid-request")) == {"Fidelog-Actor"}


def recorded_correlation(caller: Caller, **headers: str) -> str:
    """The correlation id on the event of a write with the headers; the answer carries the same."""
    client_id = fresh_client()
    answer = caller.post("/clients", client_body(client_id), **headers)
    (event,) = caller.events(stream=f"client-{client_id}")
    assert answer.headers["fidelog-correlation-id"] == event["correlation_id"]
    return str(event["correlation_id"])


def test_a_correlation_id_is_recorded_and_echoed(caller: Caller) -> None:
    """The caller's id goes before the trace's; the trace's before one made here."""
    assert recorded_correlation(caller, fidelog_correlation_id="order/1!") == "order/1!"
    assert recorded_correlation(caller, fidelog_correlation_id="x" * 128) == "x" * 128
    assert recorded_correlation(caller, traceparent=TRACEPARENT) == TRACE
    assert recorded_correlation(caller, traceparent=TRACEPARENT, fidelog_correlation_id="mine") == "mine"
    assert recorded_correlation(caller) != recorded_correlation(caller)


@pytest.mark.parametrize("text", [b"", b"x" * 129, b"a b", b"\xe9", b"a\tb"])
def test_another_correlation_id_is_refused(caller: Caller, text: bytes) -> None:
    """1 to 128 visible ASCII characters, else 422 at the header."""
    headers = [(b"fidelog-correlation-id", text)]
    content = caller.refused("invalid-request", "POST", "/clients", json=client_body(fresh_client()), headers=headers)
    assert places(content) == {"Fidelog-Correlation-Id"}


PARENT = "00f067aa0ba902b7"
INVALID_TRACES = (
    "",
    "x",
    f"00-{'0' * 32}-{PARENT}-01",
    f"ff-{TRACE}-{PARENT}-01",
    f"00-{TRACE.upper()}-{PARENT}-01",
    f"00-{TRACE}-{'0' * 16}-01",
    f"00-{TRACE}-{PARENT}-01-more",
)


@pytest.mark.parametrize("traceparent", INVALID_TRACES)
def test_an_invalid_traceparent_is_ignored(caller: Caller, traceparent: str) -> None:
    """W3C Trace Context: what is not valid is as if absent, never an error and never a shared zero id."""
    assert recorded_correlation(caller, traceparent=traceparent) not in ("0" * 32, TRACE, TRACE.upper())


def test_reads_and_errors_echo_the_correlation_id(caller: Caller) -> None:
    """Whatever the answer, it can be found by the id the caller chose; problems carry it as a member too."""
    headers = {"fidelog-correlation-id": "find-me"}
    assert caller.http.get("/audit/events", headers=headers).headers["fidelog-correlation-id"] == "find-me"
    body = task_body("nobody", fresh_agent())
    answers = [
        caller.http.get("/clients/nobody", headers=headers),
        caller.http.get("/clients/%00", headers=headers),
        caller.http.post("/tasks", json=body, headers=headers),
        caller.http.post("/tasks", content=b"{", headers={**headers, "content-type": "application/json"}),
        caller.http.post("/tasks", content=b"{}", headers={**headers, "content-type": "text/plain"}),
        caller.http.post("/tasks", json=body, headers={**headers, "origin": "http://evil.example"}),
    ]
    for answer in answers:
        assert answer.headers.get("fidelog-correlation-id") == "find-me", answer.text
        assert answer.json()["correlation_id"] == "find-me"


@pytest.mark.parametrize("name", ["Idempotency-Key", "Fidelog-Actor", "Fidelog-Correlation-Id", "Fidelog-Purpose"])
@pytest.mark.parametrize("around", [b"\xa0", b"\x85"])
def test_what_looks_like_white_space_is_a_part_of_a_value(caller: Caller, name: str, around: bytes) -> None:
    """Only spaces and tabs around a value do not count (RFC 9110, section 5.5)."""
    value = b"user:ada" if name == "Fidelog-Actor" else fresh_client().encode()
    body = client_body(fresh_client())
    good = caller.http.post("/clients", json=body, headers=[(name.encode(), value)])
    assert good.status_code == 200, good.text
    caller.refused("invalid-request", "POST", "/clients", json=body, headers=[(name.encode(), around + value)])
