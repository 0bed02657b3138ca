"""Whatever happens to the bytes of a bundle, it is verified only with the content that was exported."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventstore.proof.export.verdict import Verdict
from tests.eventstore.proof.export.bundles import Made, Members, make, packed, verdict


@cache
def made() -> Made:
    """A bundle with everything that one can have."""
    return make(old=17)


def changed(data: bytes, draw: st.DataObject) -> bytes:
    """Some bytes changed, removed, repeated or put in."""
    start = draw.draw(st.integers(0, max(0, len(data) - 1)))
    end = draw.draw(st.integers(start, min(len(data), start + 40)))
    with_what = draw.draw(st.one_of(st.binary(max_size=4), st.just(data[start:end] * 2), st.just(b"\n"), st.just(b"")))
    return data[:start] + with_what + data[end:]


def content(data: bytes) -> Members | None:
    """What an archive holds, if it is one."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    except Exception:
        return None


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_a_member_that_was_changed_is_never_verified(draw: st.DataObject) -> None:
    """Any member, in any way; and the verdict is a verdict, not an error."""
    members = made().members
    name = draw.draw(st.sampled_from(sorted(members)))
    different = {**members, name: changed(members[name], draw)}
    found = verdict(packed(different), made().checkpoint(17))
    assert (found.verdict == "verified") == (different == members), (name, found)


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_an_archive_that_was_changed_is_verified_only_with_its_content(draw: st.DataObject) -> None:
    """Bytes of the file itself: it may still be the same content, and else it is never verified."""
    different = changed(made().data, draw)
    if verdict(different, made().checkpoint(17)).verdict == "verified":
        assert content(different) == made().members


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=200))
def test_anything_else_is_not_verifiable(data: bytes) -> None:
    """As a bundle, as a checkpoint, as a consistency proof."""
    assert verdict(data, made().checkpoint()).verdict == "not verifiable"
    assert verdict(made().data, data).verdict == "not verifiable"
    assert make_consistency_only(data).verdict == "not verifiable"


def make_consistency_only(proof: bytes) -> Verdict:
    """The verdict where only this proof could connect the sizes."""
    return verdict(made().data, made().checkpoint(18), consistency=proof)


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The enclosed verifier, on bare Python: nothing installed is found, and no environment is read."""
    command = [sys.executable, "-I", "-S", "verify.pyz", *arguments]
    return subprocess.run(command, cwd=folder, env={}, capture_output=True, text=True, timeout=60, check=False)


def test_the_enclosed_verifier_runs_on_bare_python(tmp_path: Path) -> None:
    """It says what the function says, for a good bundle, a changed one, a cut one, and nothing at all; its exit status is
    the verdict's."""
    members = made().members
    (tmp_path / "verify.pyz").write_bytes(members["verify.pyz"])
    (tmp_path / "checkpoint").write_bytes(made().checkpoint(17))
    (tmp_path / "policy").write_bytes(b"nonsense\n")
    worse = packed({**members, "leaves.ndjson": members["leaves.ndjson"].replace(b'"n":4', b'"n":5')})
    for name, data, status in (("good", made().data, 0), ("bad", worse, 1), ("cut", made().data[:-50], 2)):
        (tmp_path / name).write_bytes(data)
        done = run(tmp_path, name, "--checkpoint", "checkpoint")
        said = verdict(data, made().checkpoint(17))
        assert (done.returncode, done.stdout, done.stderr) == (status, f"{said.line}\n", ""), name
    for missing in (["nothing", "--checkpoint", "checkpoint"], ["good"], ["good", "--policy", "policy"]):
        done = run(tmp_path, *missing)
        assert (done.returncode, done.stderr) == (2, ""), done
        assert '"verdict":"not verifiable"' in done.stdout
    assert run(tmp_path).returncode == 64


def test_the_verifier_holds_what_it_needs_and_no_key() -> None:
    """It is the same for every export, and what signs is not in it."""
    data = made().members["verify.pyz"]
    assert make(None).members["verify.pyz"] == data
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
    assert not [name for name in names if "keyring" in name or "signing" in name or "signed_state" in name]
    assert "__main__.py" in names
    assert all(name == "__main__.py" or name.startswith("eventstore/") for name in names)


@pytest.mark.parametrize("name", ["leaves.ndjson", "rows.txt", "nodes.txt", "events.csv"])
def test_a_member_that_grows_without_end_is_not_unpacked(name: str) -> None:
    """Gigabytes that were packed to little: the verdict comes at once."""
    members = made().members
    grown = packed({**members, name: members[name] + b"\n" * (1 << 26)})
    assert len(grown) < 1 << 18
    assert verdict(grown, made().checkpoint(17)).verdict == "tampered"
