"""Peers that are programs of their own: an order goes in as one argument of JSON, a line of JSON comes out.

The order has what the peer was given here, and `seconds`. The answer: `count` done within `seconds`, `sent` and brought
to an end since the program began, its warm-up included, and `times` of single requests in seconds.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench.rounds import MeasurementError, Reading, reading
from bench.servers import ROOT

NODE_FOLDER = Path(__file__).with_name("peers") / "node"
NODE_AT_LEAST = 22
END_SECONDS = 120.0
"""How long a program may take to start, to warm up and to end what it began."""

INSTALL_PYTHON = ".venv/bin/python -m pip install --group bench"
INSTALL_NODE = "cd bench/peers/node && npm install --no-package-lock"


@dataclass(frozen=True)
class Program:
    """How a peer is started, or why it cannot be: then `missing` names what to install."""

    command: Sequence[str]
    shown: str
    """The command as a reader would type it."""
    missing: str = ""


def in_python(module: str, package: str) -> Program:
    """`bench.peers.<module>`, which needs `package`."""
    missing = "" if find_spec(package) else f"{package} is missing; install it: {INSTALL_PYTHON}"
    return Program([sys.executable, "-m", f"bench.peers.{module}"], f"python -m bench.peers.{module} JSON", missing)


def in_node(script: str, package: str) -> Program:
    """`bench/peers/node/<script>.mjs`, which needs `package`."""
    node, missing = _node(), ""
    if node is None:
        missing = f"Node.js {NODE_AT_LEAST} is missing; install the peers with it: {INSTALL_NODE}"
    elif not (NODE_FOLDER / "node_modules" / package / "package.json").exists():
        missing = f"{package} is missing; install it: {INSTALL_NODE}"
    return Program(
        [node or "node", str(NODE_FOLDER / f"{script}.mjs")], f"node bench/peers/node/{script}.mjs JSON", missing
    )


def _node() -> str | None:
    """The Node.js that came with the peers, else the machine's if it is new enough for them."""
    for found in (NODE_FOLDER / "node_modules" / ".bin" / "node", shutil.which("node")):
        if found is not None and Path(found).exists():
            told = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout
            version = re.match(r"v(\d+)\.", told)
            if version is not None and int(version[1]) >= NODE_AT_LEAST:
                return str(found)
    return None


class ProgramLoad:
    """A contender: a program that is started for every round."""

    def __init__(self, name: str, program: Program, order: Mapping[str, Any]) -> None:
        self.name = name
        self.program = program
        self.sent = 0
        """Brought to an end since the start."""
        self._order = order

    def measure(self, seconds: float) -> Reading:
        """Load it for `seconds`, after a warm-up of its own."""
        answer = self.run(seconds=seconds)
        spread = reading(answer["times"], answer["seconds"])
        return Reading(answer["count"], answer["seconds"], spread.p50, spread.p99)

    def run(self, **more: Any) -> dict[str, Any]:
        """The program's answer to its order and `more`. Raises MeasurementError."""
        order = json.dumps({**self._order, **more})
        try:
            ended = subprocess.run(
                [*self.program.command, order], cwd=ROOT, capture_output=True, text=True, check=False,
                timeout=more.get("seconds", 0) + END_SECONDS,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise MeasurementError(f"{self.name} did not end within {error.timeout:g} seconds") from error
        if ended.returncode:
            complaint = next((line for line in ended.stderr.splitlines() if "rror" in line), ended.stderr.strip())
            raise MeasurementError(f"a round of {self.name} is invalid: {complaint}")
        answer: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
        self.sent += answer["sent"]
        return answer
