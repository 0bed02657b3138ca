"""`make soak`: python -m tests.soak [--only NAME] [--rounds N] [--seed S]. Exit 0 only if every part passed."""

from __future__ import annotations

import argparse
import signal
import sys
import time
import traceback
from collections.abc import Callable
from typing import NoReturn

import uvloop

from tests.processes.fidelog_process import Folders, new_folders
from tests.soak.findings import Findings
from tests.soak.held_snapshot import held_snapshot
from tests.soak.held_to_document import held_to_document
from tests.soak.kill_rounds import Size, kill_rounds
from tests.soak.large_bodies import large_bodies
from tests.soak.large_export import large_export
from tests.soak.mutated_requests import mutated_requests
from tests.soak.replay_under_load import EVENTS, replay_under_load

SEED = 20_260_101


BEGUN = time.monotonic()


def tell(text: str) -> None:
    """A line of progress."""
    print(f"soak: {time.monotonic() - BEGUN:5.0f} s  {text}", file=sys.stderr, flush=True)


def _prepare(folders: Folders) -> None:
    done = folders.run("migrate")
    if done.returncode != 0:
        raise RuntimeError(done.stderr)


def _kills(options: argparse.Namespace, folders: Folders) -> Findings:
    _prepare(folders)
    return uvloop.run(kill_rounds(folders, options.seed, tell, Size(rounds=options.rounds)))


def _snapshot(options: argparse.Namespace, folders: Folders) -> Findings:
    _prepare(folders)
    return uvloop.run(held_snapshot(folders, options.seed, tell))


def _replay(options: argparse.Namespace, folders: Folders) -> Findings:
    _prepare(folders)
    return uvloop.run(replay_under_load(folders, tell, options.events))


def _mutants(options: argparse.Namespace, folders: Folders) -> Findings:
    _prepare(folders)
    return uvloop.run(mutated_requests(folders, options.seed, tell))


def _bodies(options: argparse.Namespace, folders: Folders) -> Findings:
    _prepare(folders)
    return uvloop.run(large_bodies(folders, tell))


def _document(options: argparse.Namespace, folders: Folders) -> Findings:
    return held_to_document(options.seed, tell)


def _export(options: argparse.Namespace, folders: Folders) -> Findings:
    _prepare(folders)
    return uvloop.run(large_export(folders, tell, options.events))


PARTS: dict[str, Callable[[argparse.Namespace, Folders], Findings]] = {
    "kills": _kills,
    "replay": _replay,
    "mutants": _mutants,
    "snapshot": _snapshot,
    "bodies": _bodies,
    "document": _document,
    "export": _export,
}


def options() -> argparse.Namespace:
    """What to run."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--only", choices=PARTS, help="one of the parts")
    parser.add_argument("--rounds", type=int, default=20, help="rounds of kills (default 20)")
    parser.add_argument("--events", type=int, default=EVENTS, help=f"length of the log to replay (default {EVENTS:,})")
    parser.add_argument("--seed", type=int, default=SEED, help=f"what chance begins with (default {SEED})")
    return parser.parse_args()


def run(name: str, given: argparse.Namespace) -> Findings:
    """One part in folders of its own; one that breaks off has failed."""
    tell(name)
    try:
        with new_folders() as folders:
            findings = PARTS[name](given, folders)
    except Exception:
        findings = Findings(name)
        findings.fault(traceback.format_exc())
    tell(f"{name}: {'passed' if findings.passed else 'FAILED: ' + findings.faults[0]}")
    return findings


def main() -> int:
    """Run the parts one after the other and print the report; the exit status."""
    signal.signal(signal.SIGTERM, _interrupted)
    given = options()
    try:
        found = [run(name, given) for name in PARTS if given.only in {None, name}]
    except KeyboardInterrupt:
        tell("stopped")
        return 130
    print("\n".join(findings.text() for findings in found))
    passed = all(findings.passed for findings in found)
    print(f"{'PASS' if passed else 'FAIL'}  seed {given.seed}, {time.monotonic() - BEGUN:.0f} s in all")
    return 0 if passed else 1


def _interrupted(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt  # processes and folders are cleaned up on the way out


if __name__ == "__main__":
    sys.exit(main())
