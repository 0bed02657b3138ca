"""S11: reading over HTTP, ours against the plain service: one client, and a page of an agent's pending tasks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bench import http_load, reading_data, servers
from bench.http_load import HttpLoad, Requests
from bench.postgres import Postgres
from bench.progress import Tell
from bench.report import Goal, Report, Row
from bench.rounds import alternate

OURS = "Fidelog"
PLAIN = "plain CRUD"
CONNECTIONS = 64
WARM_UP_SECONDS = 1.5

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


@dataclass(frozen=True)
class ReadLoad:
    """The work: how often and how long."""

    rounds: int
    seconds: float

    @property
    def steps(self) -> int:
        """How many steps of progress it tells."""
        return 1 + len(WORKS) * (2 + 2 * self.rounds) if http_load.available() else 0

    @property
    def commands(self) -> list[str]:
        """How the load was made."""
        url = "http://127.0.0.1:PORT"
        return [" ".join(http_load.command(url, self.seconds, requests, 1)) for requests in WORKS.values()]

    def run(self, postgres: Postgres, report: Report, tell: Tell) -> None:
        """Measure and report. Raises MeasurementError."""
        if not http_load.available():
            missing = f"{http_load.WRK} is missing; install it: {http_load.INSTALL}"
            report.rows += [(Row(r.work, r.figure, r.ours, r.peer, r.goal, missing), None) for r in ALL_ROWS]
            return
        tell("writing what is read")
        with _served(postgres) as urls:
            report.notes += [NOTE, reading_data.compare(urls[OURS], urls[PLAIN])]
            for work, requests in WORKS.items():
                contenders = [HttpLoad(name, url, requests) for name, url in urls.items()]
                alternate(contenders, 1, WARM_UP_SECONDS, lambda message: tell(f"warm-up, {message}"))
                report.add(work, alternate(contenders, self.rounds, self.seconds, tell), ROWS[work])


@contextmanager
def _served(postgres: Postgres) -> Iterator[dict[str, str]]:
    """Both servers with the same clients and tasks; their URLs."""
    plain = postgres.create("plain_reads")
    with (
        servers.fidelog(postgres.folder, postgres.data_dir, postgres.state_dir) as ours,
        servers.peer("plain_crud", postgres.folder, plain) as peer,
    ):
        reading_data.write_ours(ours)
        reading_data.copy_peers(plain)
        reading_data.settle(postgres.url("fidelog"), plain)
        yield {OURS: ours, PLAIN: peer}
