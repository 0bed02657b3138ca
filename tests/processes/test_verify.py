"""`fidelog verify` on the embedded database: beside the service that seals, and without it."""

from __future__ import annotations

import json
from typing import Any

import psycopg

from tests.processes.conftest import Command
from tests.processes.fidelog_process import Folders
from tests.waiting import until

CLIENT = {"client_id": "c", "full_name": "Amina Patel", "risk_profile": "moderate"}


def test_what_the_service_sealed_is_verified(folders: Folders, command: Command) -> None:
    """With the keys of the state folder; afterwards a change by the superuser is found, and the exit statuses say which."""

    def verify(*arguments: str) -> tuple[int, dict[str, Any]]:
        status, out, err = command("verify", *arguments, **folders.settings())
        assert err == ""
        return status, json.loads(out.splitlines()[-1])

    served = folders.serve().ready()
    http = served.client()
    for _ in range(3):
        assert http.post("/clients", json=CLIENT).status_code == 200

    def sealed() -> bool:
        with psycopg.connect(folders.superuser_url()) as connection:
            return connection.execute("SELECT max(size) FROM fidelog.checkpoints").fetchone() == (3,)

    until("all is sealed", sealed)
    verified = {"verdict": "verified", "position": None, "cause": None, "checkpoint_size": 3}
    assert verify() == (0, verified)
    with psycopg.connect(folders.superuser_url()) as connection:
        connection.execute("ALTER TABLE fidelog.events DISABLE TRIGGER events_never_change")
        connection.execute("UPDATE fidelog.events SET actor = 'user:eve' WHERE position = 2")
        connection.execute("ALTER TABLE fidelog.events ENABLE ALWAYS TRIGGER events_never_change")
    assert served.stop() == 0
    for arguments in ((), ("--since-last",), ("--workers", "2", "--tenant", "default")):
        status, last = verify(*arguments)
        assert (status, last["verdict"], last["position"], last["checkpoint_size"]) == (1, "tampered", 2, 3)
    assert folders.postgres() == [], "the last to leave stops it"
