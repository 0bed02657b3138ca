"""Asks whether a known vulnerability is in any installed package: `python -m tests.audit_dependencies [--osv-url URL]`.

Exit 1 when there is one. Where the advisories cannot be reached it says so and exits 0: a check that cannot be made
elsewhere must not stop work here, and must not look like one that was made.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
from dataclasses import dataclass
from urllib.parse import urlsplit

OSV = "https://api.osv.dev/v1/query"
CONNECT_SECONDS = 5.0
SECONDS = 120


@dataclass(frozen=True)
class Audit:
    """What was found: `vulnerable` a line each; `undone` says why nothing was, or is empty."""

    packages: int = 0
    vulnerable: tuple[str, ...] = ()
    undone: str = ""


def audit(url: str) -> Audit:
    """Compare what is installed here with the advisories at `url` (the OSV API), by pip-audit."""
    parts = urlsplit(url)
    host = parts.hostname or url
    try:
        socket.create_connection((host, parts.port or 443), CONNECT_SECONDS).close()
    except OSError as error:
        return Audit(undone=f"{host} cannot be reached ({error})")
    command = [
        sys.executable, "-m", "pip_audit", "--local", "--skip-editable", "--progress-spinner", "off", "--format", "json",
        "--vulnerability-service", "osv", "--osv-url", url, "--timeout", "10",
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return Audit(undone=f"{host} did not answer within {SECONDS} s")
    try:
        found = [package for package in json.loads(done.stdout)["dependencies"] if "skip_reason" not in package]
    except (ValueError, KeyError):
        said = done.stderr.strip().splitlines() or ["nothing"]
        return Audit(undone=f"no advisories from {host}: {said[-1][:300]}")
    lines = [
        f"{package['name']} {package['version']}: {one['id']}, repaired in {', '.join(one['fix_versions']) or 'no version'}"
        for package in found
        for one in package["vulns"]
    ]
    return Audit(len(found), tuple(lines), "" if found else "no package was looked up")


def main() -> int:
    """Audit and say what was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.audit_dependencies", description=__doc__)
    parser.add_argument("--osv-url", default=OSV, help=f"where the advisories are (default {OSV})")
    found = audit(parser.parse_args().osv_url)
    if found.undone:
        print(f"dependency audit: NOT DONE: {found.undone}")
        return 0
    for line in found.vulnerable:
        print(f"dependency audit: {line}")
    print(f"dependency audit: {len(found.vulnerable)} known vulnerabilities in {found.packages} packages")
    return 1 if found.vulnerable else 0


if __name__ == "__main__":
    sys.exit(main())
