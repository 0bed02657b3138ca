"""`fidelog keys` and `fidelog tenants`, beside a running service and without one."""

from __future__ import annotations

import json
import time

import httpx

from api.identity.keys import parse
from tests.processes.conftest import Command, refusal
from tests.processes.fidelog_process import Folders


def test_keys_from_the_command_line(folders: Folders, command: Command) -> None:
    """Created beside the running service it works at once; revoked, it is refused within a second; listed without secret."""
    settings = folders.settings()
    served = folders.serve().ready()
    status, out, err = command("keys", "create", "--actor", "agent:reb", "--role", "agent", **settings)
    key = parse(out.strip())
    assert (status, key is None, out.count("\n")) == (0, False, 1)
    assert "shown this once" in err
    assert key is not None
    http = served.client()
    http.headers["authorization"] = f"Bearer {key}"
    assert http.get("/tasks").status_code == 200
    rotated = ("--replaces", key.key_id, "--overlap", "0s", "--json")
    made = json.loads(command("keys", "create", *rotated, **settings)[1])
    assert (made["actor"], made["roles"], made["tenant"]) == ("agent:reb", ["agent"], "default")
    until_refused(http)
    http.headers["authorization"] = f"Bearer {made['key']}"
    assert http.get("/tasks").status_code == 200
    assert command("keys", "revoke", made["key_id"], **settings)[0] == 0
    until_refused(http)
    listed = json.loads(command("keys", "list", "--json", **settings)[1])
    assert [(one["key_id"], one["status"]) for one in listed] == [(key.key_id, "expired"), (made["key_id"], "revoked")]
    assert made["key"] not in json.dumps(listed)
    assert "agent:reb" in command("keys", "list", **settings)[1]
    assert served.stop() == 0


def until_refused(http: httpx.Client) -> None:
    """401 within a second (and the time a request takes)."""
    begun = time.monotonic()
    while http.get("/tasks").status_code != 401:
        assert time.monotonic() - begun < 1.5


def test_a_tenant_from_the_command_line(folders: Folders, command: Command) -> None:
    """The running service serves it without being started again; its keys are its own."""
    settings = folders.settings()
    served = folders.serve().ready()
    status, out, _ = command("tenants", "create", "acme", **settings)
    assert status == 0
    assert "fidelog keys create --tenant acme" in out
    assert command("tenants", "list", **settings)[1] == "acme\ndefault\n"
    assert "exists already" in refusal(command("tenants", "create", "acme", **settings)[2])
    made = ("keys", "create", "--tenant", "acme", "--actor", "user:ada", "--role", "advisor", "--role", "compliance")
    http = served.client()
    http.headers["authorization"] = f"Bearer {command(*made, **settings)[1].strip()}"
    client = {"client_id": "c", "full_name": "Amina Patel", "risk_profile": "growth"}
    written = http.post("/clients", json=client)
    assert written.status_code == 200
    assert served.client().get("/clients/c").status_code == 404, "the local operator's tenant is default"
    query = {"client_id": "c", "at_least": written.headers["fidelog-position"]}
    events = http.get("/audit/events", params=query, headers={"fidelog-purpose": "test"}).json()["events"]
    assert [event["type"] for event in events] == ["ClientOnboarded"]
    assert served.stop() == 0
    assert command("keys", "list", "--tenant", "acme", **settings)[0] == 0, "without a running service too"


def test_what_cannot_be_is_refused(folders: Folders, command: Command) -> None:
    """A usage error exits 64, anything else 1 with one line that says what to do."""
    settings = folders.settings()
    for wrong in (
        ("keys", "create"), ("keys", "create", "--actor", "system:x", "--role", "agent"),
        ("keys", "create", "--actor", "user:x", "--role", "root"), ("keys",), ("tenants",), ("keys", "revoke"),
        ("keys", "create", "--actor", "user:x", "--role", "agent", "--expires-in", "never"),
    ):  # fmt: skip
        status, out, err = command(*wrong, **settings)
        assert (status, out) == (64, "")
        assert "fidelog: " in err
    for refused in (
        ("keys", "create", "--tenant", "nobody", "--actor", "user:x", "--role", "agent"),
        ("keys", "revoke", "zzzzzzzz"), ("keys", "list", "--tenant", "nobody"), ("tenants", "create", "Not A Name"),
        ("keys", "create", "--replaces", "zzzzzzzz"),
    ):  # fmt: skip
        status, out, err = command(*refused, **settings)
        assert (status, out) == (1, ""), refused
        assert err.splitlines()[-1].startswith("fidelog: ")
