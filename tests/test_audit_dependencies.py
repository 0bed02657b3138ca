"""The audit of dependencies finds what the advisories hold, and says when it could not ask them."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


@contextmanager
def advisories(vulnerable: str | None, status: int = 200) -> Iterator[tuple[str, list[str]]]:
    """A server of advisories in OSV's format about one package; its URL, and the packages it was asked about."""
    asked: list[str] = []

    class Advisories(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            name = json.loads(self.rfile.read(int(self.headers["content-length"])))["package"]["name"]
            asked.append(name)
            affected = [{"package": {"name": name, "ecosystem": "PyPI"}, "ranges": [
                {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "9999"}]}]}]  # fmt: skip
            found = {"vulns": [{"id": "GHSA-test", "modified": "2026-01-01T00:00:00Z", "affected": affected}]}
            body = json.dumps(found if name == vulnerable else {}).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            """Says nothing."""

    with HTTPServer(("127.0.0.1", 0), Advisories) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1/query", asked
        finally:
            server.shutdown()
            thread.join()


def audited(url: str) -> tuple[int, str]:
    """Exit status and what was said."""
    command = [sys.executable, "-m", "tests.audit_dependencies", "--osv-url", url]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout


def test_a_vulnerability_fails_the_check() -> None:
    """Exit 1, and a line that names package, version, advisory and remedy; all that is installed was asked about."""
    with advisories("starlette") as (url, asked):
        status, said = audited(url)
    assert status == 1, said
    assert "starlette" in said
    assert "GHSA-test, repaired in 9999" in said
    assert said.endswith(f"dependency audit: 1 known vulnerabilities in {len(asked)} packages\n")
    assert {"fastapi", "uvicorn", "psycopg", "cryptography", "starlette"} <= set(asked)


def test_advisories_out_of_reach_stop_nobody_and_are_not_passed_over() -> None:
    """Exit 0 and NOT DONE, whether nobody answers or the answer is an error."""
    with advisories(None, status=500) as (url, _):
        status, said = audited(url)
    assert (status, said.startswith("dependency audit: NOT DONE: ")) == (0, True), said
    status, said = audited(url)
    assert (status, "NOT DONE: 127.0.0.1 cannot be reached" in said) == (0, True), said
