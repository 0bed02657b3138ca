"""S11: reading over HTTP, ours against the plain service: one client, and a page of an agent's pending tasks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bench import reading_data, servers
from bench.http_comparison import HttpComparison
from bench.http_load import Requests
from bench.postgres import Postgres
from bench.report import Goal, Report, Row

OURS = "Fidelog"
PLAIN = "plain CRUD"
CONNECTIONS = 64

CLIENT = f"S11 GET /clients/{{id}}, {CONNECTIONS} connections"
TASKS = f"S11 GET /tasks, {CONNECTIONS} connections"

READ_CLIENT = Requests(
    "get_one_of.lua", lambda run: [reading_data.CLIENT_PATH, str(reading_data.CLIENTS), str(run)], CONNECTIONS
)
READ_TASKS = Requests(
    "get_one_of.lua", lambda run: [reading_data.TASKS_PATH, str(reading_data.AGENTS), str(run)], CONNECTIONS
)
WORKS = {CLIENT: READ_CLIENT, TASKS: READ_TASKS}
ROWS = {
    work: (Row(work, "rate", OURS, PLAIN, Goal("≥", 0.9)), Row(work, "p99", OURS, PLAIN), Row(work, "p50", OURS, PLAIN))
    for work in WORKS
}
NOTE = (
    "S11: plain CRUD reads in autocommit, one round trip a request, not with the BEGIN and COMMIT that psycopg_pool's pool "
    "sends by default; it isolates no tenants and decrypts nothing."
)
ALL_ROWS = tuple(row for rows in ROWS.values() for row in rows)


class ReadLoad(HttpComparison):
    """The work."""

    url = "http://127.0.0.1:PORT"
    loads = WORKS
    rows = ROWS

    @contextmanager
    def served(self, postgres: Postgres, report: Report) -> Iterator[dict[str, str]]:
        """Both servers with the same clients and tasks."""
        plain = postgres.create("plain_reads")
        with (
            servers.fidelog(postgres.folder, postgres.data_dir, postgres.state_dir) as ours,
            servers.peer("plain_crud", postgres.folder, plain) as peer,
        ):
            reading_data.write_ours(ours)
            reading_data.copy_peers(plain)
            reading_data.settle(postgres.url("fidelog"), plain)
            report.notes += [NOTE, reading_data.compare(ours, peer)]
            yield {OURS: ours, PLAIN: peer}
