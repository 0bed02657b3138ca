"""Part 6: many generated requests to every route as everybody, each answer held against the OpenAPI document."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.soak.findings import Findings, Tell

FILE = Path(__file__).parents[1] / "api" / "identity" / "test_fuzz.py"
METHODS = ("GET", "POST DELETE")
"""Two halves of the routes, side by side."""
SECONDS = 2_400.0
SHOWN = 6_000


def held_to_document(seed: int, tell: Tell, examples: int = 1_000, methods: Sequence[str] = METHODS) -> Findings:
    """So many examples a route, the test of `make test` with others than there. Servers and folders are its own."""
    findings = Findings("held to the document")
    environment = {**os.environ, "FIDELOG_TEST_EXAMPLES": str(examples), "FIDELOG_TEST_SEED": str(seed)}
    command = [sys.executable, "-m", "pytest", str(FILE), "-q", "-p", "no:cacheprovider", "--durations=0"]
    deadline = time.monotonic() + SECONDS
    with ExitStack() as stack:
        running = []
        for half in methods:
            of_half = {**environment, "FIDELOG_TEST_METHODS": half}
            process = subprocess.Popen(
                command, env=of_half, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
            stack.callback(process.kill)
            running.append(process)
        for half, process in zip(methods, running, strict=True):
            try:
                said, _ = process.communicate(timeout=max(1.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                findings.fault(f"{half}: not done after {SECONDS:g} s")
                continue
            last = said.strip().rpartition("\n")[2]
            tell(f"{half}: {last}")
            findings.line(f"{half}: {examples:,} examples each, {last}")
            findings.require(process.returncode == 0, f"{half}: {said[-SHOWN:]}")
    return findings.finish()
