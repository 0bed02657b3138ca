"""`fidelog replay --check` on a data folder: the read models equal the fold of the log (P7)."""

from __future__ import annotations

import subprocess

from tests.processes.fidelog_process import COMMAND, Folders, environment

USAGE_ERROR = 64
SECONDS = 300


def replay_check(folders: Folders) -> list[str]:
    """What it found; empty when all is equal. A `fidelog` without the command is a fault too."""
    done = subprocess.run(
        [*COMMAND, "replay", "--check"], env=environment(**folders.settings()), cwd=folders.outer, capture_output=True,
        text=True, timeout=SECONDS,
    )  # fmt: skip
    if done.returncode == USAGE_ERROR:
        return ["fidelog replay --check: there is no such command"]
    if done.returncode != 0:
        words = (done.stdout + done.stderr).strip().splitlines()
        return [f"fidelog replay --check: exit {done.returncode}", *words[:10]]
    return []
