"""What the figures were measured on."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil
import psycopg

from bench.http_load import WRK
from bench.postgres import Postgres
from bench.servers import ROOT

PACKAGES = (
    "fastapi",
    "uvicorn",
    "uvloop",
    "httptools",
    "psycopg",
    "psycopg-pool",
    "pydantic",
    "orjson",
    "cryptography",
)
NODE_PEERS = Path(__file__).with_name("peers") / "node"
ABSENT = "not installed"

# What the server was given by its configuration or its command line; places are no setting of interest.
GIVEN_SETTINGS = """
SELECT name, current_setting(name) FROM pg_settings
WHERE source IN ('configuration file', 'command line') AND setting NOT LIKE '%/%'
AND category NOT LIKE 'Client Connection Defaults / Locale%' AND category NOT LIKE 'Reporting%'
AND name NOT IN ('port', 'listen_addresses', 'unix_socket_permissions') ORDER BY name"""


def machine(postgres: Postgres) -> dict[str, str]:
    """The processor, the versions of everything that takes part, and PostgreSQL's settings.

    Raises MeasurementError unless commits are durable.
    """
    postgres.durability()
    return {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "PostgreSQL": str(postgres.row("SHOW server_version")[0]),
        "its settings": _settings(postgres),
        "Python": platform.python_version(),
        "packages": ", ".join(f"{name} {_version(name)}" for name in PACKAGES),
        "peers": ", ".join(f"{name} {_version(name)}" for name in _python_peers()) or "none",
        "peers in Node": _node_peers(),
        "load generator": _wrk(),
    }


def commit() -> str:
    """The commit measured, and whether files differ from it."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        return "unknown: no git checkout"
    name = _output(["git", "-C", str(ROOT), "rev-parse", "--short=12", "HEAD"])
    return f"{name} with changes" if _output(["git", "-C", str(ROOT), "status", "--porcelain"]) else name


def _settings(postgres: Postgres) -> str:
    with psycopg.connect(postgres.url()) as connection:
        return ", ".join(f"{name} {value}" for name, value in connection.execute(GIVEN_SETTINGS.encode()))


def _python_peers() -> list[str]:
    """The packages of the dependency group `bench`."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8")).get("dependency-groups", {})
    return [re.split(r"[^A-Za-z0-9._-]", requirement)[0] for requirement in groups.get("bench", [])]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ABSENT


def _node_peers() -> str:
    """Node and the packages its peers name, each as installed."""
    wanted = NODE_PEERS / "package.json"
    if shutil.which("node") is None or not wanted.exists():
        return "none" if shutil.which("node") else f"node is {ABSENT}"
    package = json.loads(wanted.read_text(encoding="utf-8"))
    names = [*package.get("dependencies", {}), *package.get("optionalDependencies", {})]
    return ", ".join([f"node {_output(['node', '--version'])}", *(f"{name} {_node_version(name)}" for name in names)])


def _node_version(package: str) -> str:
    try:
        found = json.loads((NODE_PEERS / "node_modules" / package / "package.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ABSENT
    return str(found["version"])


def _wrk() -> str:
    """wrk says its version in the first line of its help, and exits with 1."""
    if shutil.which(WRK) is None:
        return f"{WRK} is {ABSENT}"
    return " ".join(_output([WRK, "-v"]).split(" [")[0].split())


def _output(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return done.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
