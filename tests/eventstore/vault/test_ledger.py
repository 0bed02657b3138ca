"""What is kept of erasures and keys outside the database: whole after any crash, and gone when it must be."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from eventstore.durable import append_durably, destroy_durably, finish_destroying
from eventstore.vault.kept import KeptKey, KeptKeys
from eventstore.vault.ledger import Ledger

ID = "00000000-0000-4000-8000-000000000001"


def test_the_ledger_holds_each_erasure_once_whatever_was_cut_off(tmp_path: Path) -> None:
    """A line that a crash cut off is nobody's, and does not spoil the next one; the newest position counts."""
    ledger = Ledger(tmp_path)
    assert ledger.read("default") == {}
    ledger.add("default", {"c-1": 7, "c.2:x": 9})
    ledger.add("default", {"c-1": 7})
    path = tmp_path / "erased" / "default"
    assert path.read_text() == "7 c-1\n9 c.2:x\n"
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text(path.read_text() + "11 c-")
    assert ledger.read("default") == {"c-1": 7, "c.2:x": 9}
    ledger.add("default", {"c-3": 12, "c-1": 15})
    assert path.read_text() == "7 c-1\n9 c.2:x\n12 c-3\n15 c-1\n"
    assert ledger.read("default")["c-1"] == 15
    assert ledger.read("acme") == {}


def test_lines_of_several_writers_stay_whole(tmp_path: Path) -> None:
    """Of eight that append at once, none loses a line."""
    path = tmp_path / "lines"

    def append(number: int) -> None:
        for i in range(20):
            append_durably(path, f"{number} {i}\n".encode())

    threads = [threading.Thread(target=append, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = path.read_text().splitlines()
    assert sorted(lines) == sorted(f"{n} {i}" for n in range(8) for i in range(20))


def test_kept_keys_are_found_until_they_are_destroyed(tmp_path: Path) -> None:
    """By subject, among any number; of an erased one no byte stays; a tenant's own key is kept under no subject."""
    kept, names = KeptKeys(tmp_path), sorted([*(f"c-{n}" for n in range(101)), "x" * 128])
    keys = [KeptKey(name, ID, 2, name.encode()[:90].ljust(92, b"w")) for name in names]
    kept.write("default", [KeptKey("", ID, 2, b"t" * 60), *keys])
    assert [kept.find("default", key.subject) for key in keys] == keys
    assert kept.find("default", "") == KeptKey("", ID, 2, b"t" * 60)
    assert kept.find("default", "c-") is None
    assert kept.find("acme", "c-1") is None
    kept.destroy("default", ["c-7", "nobody"])
    assert kept.find("default", "c-7") is None
    assert b"c-7ww" not in (tmp_path / "kept-keys" / "default").read_bytes()
    assert kept.find("default", "c-8") == next(key for key in keys if key.subject == "c-8")
    kept.destroy("acme", ["c-1"])


def test_a_destroyed_file_is_overwritten_and_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash between its steps leaves the whole file under its name, or something under no name that anybody reads, which
    the next turn ends."""
    path = tmp_path / "epoch-1"
    path.write_bytes(b"secret")
    with path.open("rb") as held:
        destroy_durably(path)
        assert list(tmp_path.iterdir()) == []
        assert held.read() == bytes(6), "overwritten, whoever still holds it"
    path.write_bytes(b"secret")
    with monkeypatch.context() as patch:
        patch.setattr("eventstore.durable._overwrite", lambda doomed: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            destroy_durably(path)
    assert not path.exists()
    assert len(list(tmp_path.iterdir())) == 1
    finish_destroying(tmp_path)
    assert list(tmp_path.iterdir()) == []
