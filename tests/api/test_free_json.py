"""Free JSON (payload, result): what it may hold, how large it may be, and that it comes back as it was sent."""

from __future__ import annotations

import uuid
from typing import Any

import orjson
import pytest

from tests.api.conftest import JSON, Caller, fresh_agent, places, task_body

LIMIT = 32_768
LARGEST = 2**53 - 1


def create(caller: Caller, payload: Any) -> str:
    """A pending task of a new agent with the payload."""
    return caller.task(fresh_agent(), payload=payload)


VALUES: dict[str, Any] = {
    "empty": {},
    "largest integers": {"a": LARGEST, "b": -LARGEST, "c": 0},
    "floats": {"a": 0.1, "b": -1e308, "c": 5e-324, "d": 1e22, "e": 9007199254740993.0},
    "kinds": {"a": [None, True, False, "", [], {}], "": {"": ""}},
    "text": {"a": "é\u2028\u2029\ufffe🙂\x7f\x1f", "k\u0301\n\t\"\\/": "~0~1/"},
    "names that are ours": {"sealed": "x", "key": "y", "fingerprint": "z", "erased": True},
    "prototype": {"__proto__": {"a": 1}, "constructor": 1},
}  # fmt: skip


@pytest.mark.parametrize("case", VALUES)
def test_free_json_comes_back_as_it_was_sent(caller: Caller, case: str) -> None:
    """Payload and result are equal to what was sent, in the task, in the claim and in the events."""
    value, agent_name = VALUES[case], fresh_agent()
    task_id = caller.task(agent_name, payload=value)
    (claimed,) = caller.claim(agent_name)
    assert claimed["payload"] == value
    body = {"claim_token": claimed["claim_token"], "result": value}
    assert caller.post(f"/tasks/{task_id}/result", body).status_code == 200
    task = caller.http.get(f"/tasks/{task_id}").json()
    assert (task["payload"], task["result"]) == (value, value)
    first, _, last = caller.events(stream=f"task-{task_id}")
    assert (first["data"]["payload"], last["data"]["result"]) == (value, value)


@pytest.mark.parametrize(
    ("payload", "place"),
    [
        ({"a": LARGEST + 1}, "/payload/a"),
        ({"a": {"b": [0, -LARGEST - 1]}}, "/payload/a/b/1"),
        ({"a": 2**64}, "/payload/a"),
        ({"a/b": {"~": 10**400}}, "/payload/a~1b/~0"),
        ({"a": "\x00"}, "/payload/a"),
        ({"a": ["x\x00y"]}, "/payload/a/0"),
        ({"a\x00": 1}, "/payload"),
        ({"x": {"\x00": {}}}, "/payload/x"),
    ],
)
def test_integers_no_double_holds_and_nul_are_refused_where_they_stand(
    caller: Caller, payload: Any, place: str
) -> None:
    """Beyond ±(2^53−1) readers differ, and PostgreSQL has no NUL: 422 with a pointer, in payloads and results."""
    body = task_body(caller.client(), fresh_agent(), payload=payload)
    assert places(caller.refused("invalid-request", "POST", "/tasks", json=body)) == {place}
    path = f"/tasks/{create(caller, {})}/result"
    faults = places(caller.refused("invalid-request", "POST", path, json={"result": payload}))
    assert faults == {place.replace("/payload", "/result", 1)}


@pytest.mark.parametrize("digits", [17, 100, 4_300, 4_301, 5_000, 30_000])
@pytest.mark.parametrize("sign", [b"", b"-"])
def test_an_integer_of_thousands_of_digits_is_refused_at_once(caller: Caller, digits: int, sign: bytes) -> None:
    """However long, an integer is 422, not a failure and not a value without its last digits."""
    number = sign + b"9" * digits
    body = b'{"task_id":"%s","client_id":"c","agent_name":"a","payload":{"a":%s}}' % (
        str(uuid.uuid4()).encode(),
        number,
    )
    content = caller.refused("invalid-request", "POST", "/tasks", content=body, headers=JSON)
    assert len(content["errors"]) == 1
    assert "9" * 17 not in orjson.dumps(content).decode()


@pytest.mark.parametrize("value", [None, [], [{}], "{}", 1, True, 1.5])
def test_free_json_must_be_an_object(caller: Caller, value: Any) -> None:
    """Arrays and bare values are 422, nothing is wrapped or parsed."""
    body = task_body(caller.client(), fresh_agent(), payload=value)
    assert places(caller.refused("invalid-request", "POST", "/tasks", json=body)) == {"/payload"}
    path = f"/tasks/{create(caller, {})}/result"
    assert places(caller.refused("invalid-request", "POST", path, json={"result": value})) == {"/result"}


def of_size(size: int, unit: str) -> dict[str, str]:
    """An object whose compact UTF-8 JSON has exactly `size` bytes, made of `unit`s and a rest of x."""
    room = size - len(b'{"a":""}')
    width = len(orjson.dumps(unit)) - 2
    return {"a": unit * (room // width) + "x" * (room % width)}


@pytest.mark.parametrize("unit", ["x", "é", "🙂", "\n", '"', "\x1f"])
def test_32768_bytes_are_taken_and_one_more_is_not(caller: Caller, unit: str) -> None:
    """The limit counts bytes of compact UTF-8 JSON before sealing; 413 says the limit and the size."""
    path = f"/tasks/{create(caller, of_size(LIMIT, unit))}/result"
    larger = of_size(LIMIT + 1, unit)
    content = caller.refused("payload-too-large", "POST", path, json={"result": larger})
    assert (content["limit"], content["size"]) == (LIMIT, LIMIT + 1)
    assert caller.post(path, {"result": of_size(LIMIT, unit)}).status_code == 200
    body = task_body(caller.client(), fresh_agent(), payload=larger)
    content = caller.refused("payload-too-large", "POST", "/tasks", json=body)
    assert (content["limit"], content["size"]) == (LIMIT, LIMIT + 1)


def test_white_space_and_escapes_of_the_sender_do_not_count(caller: Caller) -> None:
    """The compact form is measured, not the form that was sent."""
    fields = task_body(caller.client(), fresh_agent())
    head = orjson.dumps({name: value for name, value in fields.items() if name != "payload"})[:-1]
    sent = head + b',"payload":{ "a" :' + b" " * 40_000 + b'"' + b"\\u0041" * 32_760 + b'"}}'
    assert caller.http.post("/tasks", content=sent, headers=JSON).status_code == 201
    assert caller.http.get(f"/tasks/{fields['task_id']}").json()["payload"] == {"a": "A" * 32_760}
