"""The peer of the engine: PostgreSQL's own load generator, one guarded insert a commit, 32 clients."""

from __future__ import annotations

import itertools
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
from psycopg.rows import dict_row

from bench.rounds import MeasurementError, Reading, percentile
from eventstore.database import Database

CLIENTS = 32
FOLDER = Path(__file__).with_name("sql")
SCRIPT = FOLDER / "insert_event.sql"

_RATE = re.compile(r"^tps = ([0-9.]+) \(without initial connection time\)$", re.MULTILINE)
_rounds = itertools.count(1)


@dataclass(frozen=True)
class Pgbench:
    """A contender: `database` has Fidelog's own schema, and the sample is an event the engine wrote."""

    name: str
    bin_dir: Path
    database: Database
    sample: Mapping[str, str]

    def command(self, seconds: float, log: str = "") -> list[str]:
        """pgbench's command line, without the database's URL. The log has every transaction's time."""
        options = ["-n", "-c", str(CLIENTS), "-j", "2", "-M", "prepared", "-T", str(max(1, round(seconds)))]
        return ["pgbench", *options, "-f", str(SCRIPT), *(["-l", "--log-prefix", log] if log else [])]

    def measure(self, seconds: float) -> Reading:
        """Load it for `seconds`, in whole seconds."""
        variables = {**self.sample, "position": "0", "round": str(next(_rounds))}
        given = [word for name, value in variables.items() for word in ("-D", f"{name}={value}")]
        with TemporaryDirectory(prefix="fdl-pgbench-") as folder:
            program, *options = self.command(seconds, f"{folder}/log")
            ended = subprocess.run(
                [self.bin_dir / program, *options, *given, self.database.url("writer")],
                capture_output=True, text=True, check=False, timeout=seconds + 60,
            )  # fmt: skip
            return _reading(ended, Path(folder))


def sample_event(database: Database) -> dict[str, str]:
    """The newest first event of a stream, as pgbench's variables."""
    query = (FOLDER / "sample_event.sql").read_bytes()
    with psycopg.connect(database.url("superuser"), row_factory=dict_row) as connection:
        row = connection.execute(query).fetchone()
    if row is None:
        raise MeasurementError("the engine wrote no event to take as a sample")
    return row


def _reading(ended: subprocess.CompletedProcess[str], folder: Path) -> Reading:
    rate = _RATE.search(ended.stdout)
    if ended.returncode or rate is None:
        complaint = next((line for line in ended.stderr.splitlines() if "error" in line.lower()), ended.stderr.strip())
        raise MeasurementError(f"a round of pgbench is invalid: {complaint}")
    # client, transaction, microseconds, script, seconds, microseconds (pgbench's "Per-Transaction Logging")
    lines = [line for path in folder.glob("log.*") for line in path.read_text().splitlines()]
    times = sorted(int(line.split(" ", 3)[2]) / 1e6 for line in lines)
    if not times:
        raise MeasurementError("a round of pgbench is invalid: it logged no transaction")
    # Connecting is left out of the rate, as pgbench does.
    return Reading(len(times), len(times) / float(rate[1]), percentile(times, 0.50), percentile(times, 0.99))
