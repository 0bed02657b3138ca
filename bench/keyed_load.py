"""S1 and S11 with an API key, against the same without: one server, the access log on for both."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bench import credentials, reading_data, servers
from bench.http_comparison import HttpComparison
from bench.http_load import POST_CLIENTS
from bench.postgres import Postgres
from bench.read_load import READ_CLIENT, READ_TASKS
from bench.report import Goal, Report, Row

KEYED, KEYLESS = "with a key", "without"
LOADS = {
    f"Keys POST /clients, {POST_CLIENTS.connections} connections": POST_CLIENTS,
    f"Keys GET /clients/{{id}}, {READ_CLIENT.connections} connections": READ_CLIENT,
    f"Keys GET /tasks, {READ_TASKS.connections} connections": READ_TASKS,
}
ROWS = {load: (Row(load, "rate", KEYED, KEYLESS, Goal("≥", 0.9)), Row(load, "p99", KEYED, KEYLESS)) for load in LOADS}
ALL_ROWS = tuple(row for rows in ROWS.values() for row in rows)
NOTE = (
    "Keys: one process serves both; whoever reads is recorded before the answer, with a key or without "
    "(FIDELOG_ACCESS_LOG=all), so a read is a write here. The rate limit is raised."
)


class KeyedLoad(HttpComparison):
    """The work."""

    url = "http://KEY@127.0.0.1:PORT"
    loads = LOADS
    rows = ROWS

    @contextmanager
    def served(self, postgres: Postgres, report: Report) -> Iterator[dict[str, str]]:
        """One server, asked in two ways."""
        folders = postgres.folder, postgres.data_dir, postgres.state_dir
        with servers.fidelog(*folders, {"FIDELOG_ACCESS_LOG": "all"}) as url:
            key = servers.key_for("keys", postgres.data_dir, postgres.state_dir)
            reading_data.write_ours(url)
            report.notes.append(NOTE)
            yield {KEYED: credentials.with_key(url, key), KEYLESS: url}
