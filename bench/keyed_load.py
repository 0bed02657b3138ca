"""S1 and S11 with an API key, against the same without: one server, the access log on for both."""

from __future__ import annotations

from dataclasses import dataclass

from bench import credentials, http_load, reading_data, servers
from bench.http_load import POST_CLIENTS, HttpLoad
from bench.postgres import Postgres
from bench.progress import Tell
from bench.read_load import READ_CLIENT, READ_TASKS
from bench.report import Goal, Report, Row
from bench.rounds import alternate

KEYED, KEYLESS = "with a key", "without"
WARM_UP_SECONDS = 1.5
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


@dataclass(frozen=True)
class KeyedLoad:
    """The work: how often and how long."""

    rounds: int
    seconds: float

    @property
    def steps(self) -> int:
        """How many steps of progress it tells."""
        return 1 + len(LOADS) * (2 + 2 * self.rounds) if http_load.available() else 0

    @property
    def commands(self) -> list[str]:
        """How the load is made."""
        url = "http://KEY@127.0.0.1:PORT"
        return [" ".join(http_load.command(url, self.seconds, requests, 1)) for requests in LOADS.values()]

    def run(self, postgres: Postgres, report: Report, tell: Tell) -> None:
        """Measure and report. Raises MeasurementError."""
        if not http_load.available():
            missing = f"{http_load.WRK} is missing; install it: {http_load.INSTALL}"
            report.rows += [(Row(r.work, r.figure, r.ours, r.peer, r.goal, missing), None) for r in ALL_ROWS]
            return
        tell("writing what is read")
        folders = postgres.folder, postgres.data_dir, postgres.state_dir
        with servers.fidelog(*folders, {"FIDELOG_ACCESS_LOG": "all"}) as url:
            key = servers.key_for("keys", postgres.data_dir, postgres.state_dir)
            reading_data.write_ours(url)
            report.notes.append(NOTE)
            for load, requests in LOADS.items():
                contenders = [
                    HttpLoad(KEYED, credentials.with_key(url, key), requests),
                    HttpLoad(KEYLESS, url, requests),
                ]
                alternate(contenders, 1, WARM_UP_SECONDS, lambda message: tell(f"warm-up, {message}"))
                report.add(load, alternate(contenders, self.rounds, self.seconds, tell), ROWS[load])
