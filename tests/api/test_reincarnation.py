"""A backup is restored: the log is not sealed over what was signed, says so, and goes on under a new origin that tells what
was lost."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import orjson
import pytest

from api import sealing
from api.operate import status_command
from api.reincarnating import reincarnate
from api.settings import SettingsError
from tests.api.conftest import Caller, client_body
from tests.clusters import Cluster
from tests.eventstore.sealing.rows import check
from tests.running import running_api
from tests.sealed import sealed_size
from tests.waiting import until

RESTORED = "fidelog_restored_backup"


def fault(caller: Caller) -> str | None:
    """Why nothing is sealed, as /readyz shows it."""
    tails = {tail["name"]: tail for tail in caller.http.get("/readyz").json()["tails"]}
    found: str | None = tails["seal"].get("fault")
    return found


def record(caller: Caller, *numbers: int) -> None:
    """An event each, sealed."""
    for number in numbers:
        written = caller.post("/clients", client_body(f"c{number}"))
        assert written.headers["fidelog-position"] == str(number)
    sealed_size(caller.http, max(numbers))


def test_a_restored_backup_goes_on_as_a_new_incarnation(
    pg: Cluster, database_name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is signed over the restored rows while the service records on; the fault stands in /readyz and in status,
    and says what to do. The new origin keeps what is left, names the old one's last checkpoint and the positions lost, and
    seals all that was written since; the old origin signs no more."""
    settings = pg.settings(database_name)
    with running_api(settings) as api:
        record(Caller(api.client), 1, 2, 3, 4, 5)
    pg.drop(RESTORED)
    pg.create(RESTORED, database_name)  # the backup
    try:
        with running_api(settings) as api:
            record(Caller(api.client), 6, 7, 8)
            held = api.client.get("/log/default/checkpoint").text
        old = api.backend.logs.current("default")
        given = replace(pg.settings(RESTORED), state_dir=settings.state_dir)
        with running_api(given) as api:
            caller = Caller(api.client)
            until("it says that it does not seal", lambda: fault(caller))
            assert "size 8 was signed and the log has 5 events" in str(fault(caller))
            assert "fidelog log reincarnate" in str(fault(caller))
            assert caller.post("/clients", client_body("c-new")).headers["fidelog-position"] == "6"
            until("status says so", lambda: status(given, capsys)["seal"].get("fault"))
            assert asyncio.run(reincarnate(given, "default", "disk lost")) == 0
            said = capsys.readouterr().out
            told = int(caller.http.get("/audit/events?order=desc&limit=1").json()["events"][0]["position"])
            until("it is sealed again", lambda: fault(caller) is None and sealed_size(caller.http, told) >= told)
            until("status says so", lambda: "fault" not in status(given, capsys)["seal"])
            (event,) = caller.http.get("/audit/events?stream=log-incarnation").json()["events"]
            new = api.backend.logs.current("default")
            assert new.origin == f"{old.origin}/2"
            assert caller.http.get("/log/default/checkpoint").text.split("\n")[0] == new.origin
            assert event["data"] == {
                "old_origin": old.origin, "old_checkpoint": held, "new_origin": new.origin, "first_lost": 6, "last_lost": 8,
                "new_key": new.keyring().signer.verifier.text, "reason": "disk lost",
            }  # fmt: skip
            assert event["data"]["new_key"] in said
            monkeypatch.setattr(sealing, "LOCK_SECONDS", 0.1)
            with pytest.raises(SettingsError, match="a process seals this log"):
                asyncio.run(reincarnate(given, "default", "again"))
        assert check(pg.database(RESTORED), new) >= told
        last = old.state.latest()
        assert last is not None
        assert last.data.decode() == held, "the old origin signs no more"
    finally:
        pg.drop(RESTORED)


def status(settings: Any, capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, Any]]:
    """The tails by name, as `fidelog status --json` shows them."""
    asyncio.run(status_command(settings, as_json=True))
    tails = orjson.loads(capsys.readouterr().out)["tenants"][0]["tails"]
    return {tail["name"]: tail for tail in tails}


def test_a_log_in_order_is_not_begun_anew(pg: Cluster, database_name: str) -> None:
    """Neither when it is sealed, nor before anything was signed; and a reason is one line."""
    settings = pg.settings(database_name)
    with pytest.raises(SettingsError, match="nothing to begin anew for"):
        asyncio.run(reincarnate(settings, "default", "why not"))
    with pytest.raises(SettingsError, match="--reason"):
        asyncio.run(reincarnate(settings, "default", "two\nlines"))
