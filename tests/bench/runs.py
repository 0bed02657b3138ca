"""Made-up results of works, to be shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.report import TIMES, Fact, Goal, Report, Row
from bench.results import Results, results_of
from bench.rounds import Reading, Series

WRITES = "S1 writes"
MET = Row(WRITES, "rate", "ours", "plain", Goal("≥", 2.0))
MISSED = Row(WRITES, "p99", "ours", "plain", Goal("≤", 0.4))
LEFT_OUT = Row(
    "S2 engine", "rate", "ours", "Emmett | npm", Goal("≥", 8.0), "npm is missing; install it: apt-get install npm"
)
INVALID = Row("S3 lifecycles", "rate", "ours", "a queue", Goal("≥", 2.0))
INVALID_FACT = Fact("S3 lifecycles", "memory", None, "MiB", Goal("≤", 512.0))
FACTS = (
    Fact("S4 replay", "events", 0.17, TIMES, Goal("≥", 0.2), "raw COPY", rounds=(0.16, 0.17, 0.18)),
    Fact("S5 by client", "p99", 8.1, "ms", Goal("≤", 10.0)),
    Fact("S7 Emmett", "bytes", None, "bytes", Goal("≤", 500.0), not_run="npm is missing"),
)


def series(rates: Mapping[str, Sequence[float]]) -> Series:
    """Rounds of contenders with these rates; their p99 is a tenth of a second at 1 a second, shorter when faster."""
    made = Series(list(rates))
    for name, values in rates.items():
        made.readings[name] = [Reading(round(rate), 1.0, 0.05 / rate, 0.1 / rate) for rate in values]
        made.stolen[name] = [0.0] * len(values)
    made.disturbance.others, made.disturbance.stolen = [0.02], [0.01]
    return made


def results() -> Results:
    """A run with goals met and missed, a peer that is not there, a work that failed, and figures that are no ratio."""
    writes = Report("S1", "writing over HTTP", ["wrk URL"])
    writes.add(WRITES, series({"ours": [300, 330, 360], "plain": [100, 150, 120]}), [MET, MISSED])
    engine = Report("S2", "the engine", ["pgbench"], rows=[(LEFT_OUT, None)], facts=list(FACTS))
    lifecycles = Report("S3", "task lifecycles", [], failed="the queue answered nothing")
    works = [results_of(writes, []), results_of(engine, []), results_of(lifecycles, [INVALID, INVALID_FACT])]
    return Results("2026-11-25 12:00 UTC", "0123456789ab", "python -m bench", {"cores": "2"}, works)
