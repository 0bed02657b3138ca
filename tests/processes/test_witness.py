"""`fidelog witness`: what it answers over HTTP, what it keeps when many ask at once or it is killed, how it refuses to start."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from api.witness.cosigner import hash_of
from eventstore.proof.keys import Kind, VerifierKey
from eventstore.proof.note import Note
from eventstore.proof.signing_keys import SigningKey
from eventstore.proof.witness_exchange import with_cosignatures
from tests.eventstore.proof.one_log import LEAVES, OTHER, TREE, OneLog
from tests.eventstore.proof.vectors import SHARED, shared_json
from tests.processes.conftest import Command, refusal
from tests.processes.fidelog_process import new_folders
from tests.processes.witness_process import NAME, WitnessProcess, shown_at

VECTORS = "torchwood-witness/add_checkpoint.json"
LOGS = {name: OneLog(f"log.example/{name}") for name in ("grown", "raced", "refused", "followed", "signed")}


def key_of_vectors() -> VerifierKey:
    """The log of the public exchange."""
    vectors = json.loads((SHARED / VECTORS).read_text(encoding="utf-8"))
    origin = vectors["cases"][0]["request"].split("\n")[2]
    return VerifierKey(origin, Kind.LOG, bytes.fromhex(vectors["log_ed25519_public_key_hex"]))


@pytest.fixture(scope="module")
def witnesses() -> Iterator[tuple[WitnessProcess, WitnessProcess]]:
    """Two processes on one folder, as when one takes over from another."""
    keys = [log.key.verifier for log in LOGS.values()]
    if (SHARED / VECTORS).exists():
        keys.append(key_of_vectors())
    with new_folders() as folders:
        both = WitnessProcess(folders.outer, keys), WitnessProcess(folders.outer, keys)
        folders.started += both
        for one in both:
            one.ready()
        yield both
        assert [one.stop(number) for one, number in zip(both, (signal.SIGTERM, signal.SIGINT), strict=True)] == [0, 0]


@pytest.fixture
def witness(witnesses: tuple[WitnessProcess, WitnessProcess]) -> WitnessProcess:
    """One of them."""
    return witnesses[0]


def test_the_public_exchange(witness: WitnessProcess) -> None:
    """Nine requests in a row get the stated answers over HTTP; an unknown log is not found, as the text has it since."""
    for case in shared_json(VECTORS)["cases"]:
        unknown = case.get("body_contains") == "unknown log"
        answered = witness.submit(case["request"].encode())
        assert answered.status_code == (404 if unknown else case["status"])
        assert case.get("body_contains", "") in answered.text
        assert case.get("body_equals", answered.text) == answered.text


def test_a_log_that_grows_is_cosigned_and_shown(witness: WitnessProcess) -> None:
    """Each answer is a cosignature that verifies; the latest checkpoint is shown with the log's signature and the witness's,
    and with no line that somebody added. A conflict names the size to begin from, in its own type."""
    log = LOGS["grown"]
    assert witness.get(shown_at(log)).status_code == 404
    for old, new in [(0, 0), (0, 1), (1, 200), (200, 200), (200, LEAVES)]:
        note = log.note(new)
        stranger = SigningKey("stranger.example", Kind.LOG, b"s" * 32)
        added = log.request(old, new) + f"— stranger.example {'AAAA' * 24}\n".encode()
        answered = witness.submit(added)
        assert (answered.status_code, answered.headers["content-type"]) == (200, "text/plain; charset=utf-8")
        assert with_cosignatures(note, answered.content, [witness.key]).signers([witness.key])
        shown = Note.parse(witness.get(shown_at(log)).content)
        assert shown.text == note.text
        assert {one.key for one in shown.signers([log.key.verifier, witness.key])} == {log.key.verifier, witness.key}
        assert len(shown.lines) == 2
        assert stranger.verifier.name not in {line.name for line in shown.lines}
    answered = witness.submit(log.request(1, LEAVES))
    assert (answered.status_code, answered.headers["content-type"], answered.content) == (
        409,
        "text/x.tlog.size",
        b"400\n",
    )


def test_no_race_takes_it_back(witnesses: tuple[WitnessProcess, WitnessProcess]) -> None:
    """32 callers at once, on two processes, with as many sizes of two histories: what is cosigned only ever grows, and is one
    history. Without compare-and-set a smaller tree would be stored after a larger one."""
    log, cosigned = LOGS["raced"], []
    assert witnesses[0].submit(log.request(0, 5)).status_code == 200
    begin = threading.Barrier(33)

    def race(number: int) -> None:
        """Go on from whatever size is told until the own size is cosigned or passed."""
        process, tree, new = witnesses[number % 2], (TREE, OTHER)[number // 2 % 2], 6 + number * 11
        old = 5
        begin.wait(60)
        while old <= new:
            answered = process.submit(log.request(old, new, tree))
            if answered.status_code == 409:
                old = int(answered.content)
                continue
            assert answered.status_code == (200 if tree is TREE else 422)
            if tree is TREE:
                cosigned.append(new)
            return

    sizes: list[int] = []
    with ThreadPoolExecutor(32) as pool:
        racing = [pool.submit(race, number) for number in range(32)]
        begin.wait(60)
        while not all(one.done() for one in racing):
            sizes.append(witnesses[0].size(log))
        for one in racing:
            one.result()
    largest = max(6 + number * 11 for number in range(32) if number // 2 % 2 == 0)
    assert sizes == sorted(sizes)
    assert witnesses[0].size(log) == witnesses[1].size(log) == largest
    assert largest in cosigned
    assert len(cosigned) == len(set(cosigned))


def test_of_many_at_once_from_one_size_one_is_cosigned(witnesses: tuple[WitnessProcess, WitnessProcess]) -> None:
    """32 callers begin from the same size: one is cosigned, all others are told where it stands now."""
    log, begin = LOGS["signed"], threading.Barrier(32)

    def ask(number: int) -> tuple[int, bytes]:
        body = log.request(0, 1 + number)
        begin.wait(60)
        answered = witnesses[number % 2].submit(body)
        return answered.status_code, b"" if answered.status_code == 200 else answered.content

    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(ask, range(32)))
    size = witnesses[0].size(log)
    assert answers.count((200, b"")) == 1
    assert answers[size - 1] == (200, b"")
    assert answers.count((409, b"%d\n" % size)) == 31


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400), (b"old 0\n", 400), (b"\xff", 400), (b"old 0\n\nnothing\n\n", 400), (b"old 0\n\n\n\n", 400),
        (b"old 0\n\na\n0\nb\n\n- x\n", 403),
        (LOGS["refused"].request(0, 5).replace(b"old 0", b"old +0"), 400), (LOGS["refused"].request(9, 5), 400),
        (LOGS["refused"].request(0, 5).replace(b"\n5\n", b"\n05\n"), 400), (LOGS["refused"].request(0, 5, proof=[bytes(32)]), 422),
        (LOGS["refused"].request(0, 5) + b"x" * (1 << 17), 400), (b"x" * (2 << 20), 413), (LOGS["refused"].request(3, 5), 409),
        (LOGS["refused"].request(0, 5, key=SigningKey("log.example/refused", Kind.LOG, b"s" * 32)), 403),
        (OneLog("log.example/unknown").request(0, 5), 404),
    ],
)  # fmt: skip
def test_what_is_refused_is_not_kept(witness: WitnessProcess, body: bytes, status: int) -> None:
    """A request that is malformed, too large, of an unknown log, wrongly signed or wrongly proven gets its status, and the
    witness stands where it stood."""
    assert witness.submit(body).status_code == status
    assert witness.size(LOGS["refused"]) == 0


def test_what_is_not_there(witness: WitnessProcess) -> None:
    """Other paths and methods are refused as elsewhere."""
    for method, path, status in [
        ("GET", "/add-checkpoint", 405), ("POST", shown_at(LOGS["refused"]), 405), ("GET", "/", 404), ("GET", "/0/checkpoint", 404),
        ("GET", f"/{hash_of('x')}/checkpoint", 404), ("GET", f"/{hash_of(LOGS['refused'].origin).upper()}/checkpoint", 404),
    ]:  # fmt: skip
        assert witness.http.request(method, path).status_code == status


def test_two_histories_are_told_to_whoever_runs_the_witness(witness: WitnessProcess) -> None:
    """A log that signs another tree gets no cosignature, and what it signed stands in the witness's log: the evidence."""
    log = LOGS["followed"]
    assert witness.submit(log.request(0, 5)).status_code == 200
    for _ in range(2):
        assert witness.submit(log.request(5, 5, OTHER)).status_code == 422
    told = [json.loads(line)["message"] for line in witness.stderr().splitlines() if "log.example/followed" in line]
    assert len(told) == 1
    assert log.note(5, OTHER).data.decode() in told[0]
    assert witness.size(log) == 5


def test_what_was_cosigned_outlives_a_kill(tmp_path: Path) -> None:
    """kill -9 while checkpoints come in: after a restart on the same folder it stands where it told last, or further, never
    before; and it goes on from there."""
    log, told = LOGS["grown"], 0
    with new_folders() as folders:
        for limit in (40, LEAVES):
            process = WitnessProcess(folders.outer, [log.key.verifier])
            folders.started.append(process)
            process.ready()
            stands = process.size(log)
            assert stands in {told, told + 1}
            killer = threading.Event()

            def hammer(client: httpx.Client, size: int, limit: int = limit, killer: threading.Event = killer) -> int:
                """Grow by one until the process is gone; the last size that was told."""
                while size < LEAVES:
                    try:
                        answered = client.post("/add-checkpoint", content=log.request(size, size + 1))
                    except httpx.TransportError:
                        return size
                    assert answered.status_code == 200
                    size += 1
                    if size >= min(limit, LEAVES - 1):
                        killer.set()
                return size

            with ThreadPoolExecutor(1) as pool:
                running = pool.submit(hammer, process.client(), stands)
                if limit == LEAVES:  # the last round only shows that it goes on
                    assert running.result(120) == LEAVES
                    assert process.size(log) == LEAVES
                else:
                    assert killer.wait(60)
                    process.kill()
                    told = running.result(60)


def test_the_key_is_made_once(command: Command, tmp_path: Path) -> None:
    """The key is printed as one line, the same each time, and only its owner can read it; a new one needs a name."""
    folder = {"FIDELOG_WITNESS_STATE_DIR": str(tmp_path / "w")}
    status, _, err = command("witness", "--print-key", **folder)
    assert (status, "FIDELOG_WITNESS_NAME" in refusal(err)) == (1, True)
    first = command("witness", "--print-key", "--name", NAME, **folder)
    assert first[0] == 0
    assert VerifierKey.parse(first[1].removesuffix("\n")).kind is Kind.COSIGNER
    assert command("witness", "--print-key", **folder) == first
    assert (tmp_path / "w" / "key").stat().st_mode & 0o777 == 0o600


def test_what_it_does_not_start_with(command: Command, tmp_path: Path) -> None:
    """A key that others can read, another name, a log's key, no log, a key that is none, a witness's as a log's, and a state
    that is damaged or has lost its key: each is refused in one line that says why."""
    log = LOGS["grown"].key.verifier.text
    folder = tmp_path / "w"

    def refused(*options: str) -> str:
        status, out, err = command("witness", "--state-dir", str(folder), *options)
        assert (status, out) == (1, "")
        return refusal(err)

    assert "white space" in refused("--name", "a b", "--log", log)
    assert command("witness", "--state-dir", str(folder), "--name", NAME, "--print-key")[0] == 0
    assert "needs the verifier key of a log" in refused()
    assert "not a key" in refused("--log", "nothing")
    assert "another key's" in refused("--log", log.replace("log.example", "log.other"))
    assert "witness's key" in refused("--log", command("witness", "--state-dir", str(folder), "--print-key")[1].strip())
    assert "called example.com/witness" in refused("--name", "other", "--log", log)
    assert "FIDELOG_WITNESS_PORT" in refused("--port", "65536", "--log", log)
    assert "cannot be read" in refused("--logs", str(tmp_path / "none"))
    (folder / "key").chmod(0o644)
    assert "read by others" in refused("--log", log)
    (folder / "key").chmod(0o600)
    kept = folder / "logs" / hash_of("log.example/grown")
    kept.mkdir(parents=True)
    (kept / "last-checkpoint").write_text("nothing")
    assert "must not go on under its key" in refused("--log", log)
    (folder / "key").unlink()
    assert "no key" in refused("--name", NAME, "--log", log)
    (folder / "key").write_text(LOGS["grown"].key.secret_text)
    (folder / "key").chmod(0o600)
    assert "a log's key" in refused("--log", log)
