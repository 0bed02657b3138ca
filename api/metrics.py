"""What the process counts, as Prometheus text. Labels name types and tails, never a client or a value.

Counting is adding to plain numbers; all that Prometheus needs is made when somebody asks.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from eventstore.following import Following
from eventstore.records import RecordedEvent
from eventstore.sealing.cosigning import Cosigning
from eventstore.sealing.sealer import Sealer
from eventstore.sealing.witnesses import Witness

CONTENT_TYPE = CONTENT_TYPE_LATEST.encode()
SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class Distribution:
    """How many observations were at most each bound, and their sum."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count one."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def metric(self, name: str, meaning: str) -> Metric:
        """As a Prometheus histogram, whose buckets are cumulative."""
        names = [*(str(float(bound)) for bound in self._bounds), "+Inf"]
        buckets = list(zip(names, accumulate(self._counts), strict=True))
        return HistogramMetricFamily(name, meaning, buckets=buckets, sum_value=self._sum)


class Metrics(Collector):
    """One backend's figures since it was made. `depth` gives the commands queued, `tails` the tails that run."""

    def __init__(self, depth: Callable[[], int], tails: Callable[[], Sequence[Following]]) -> None:
        self._depth = depth
        self._tails = tails
        self._write_seconds = Distribution(SECONDS)
        self._batch_sizes = Distribution(SIZES)
        self._batch_seconds = Distribution(SECONDS)
        self._appended: Counter[str] = Counter()
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def wrote(self, seconds: float) -> None:
        """A command was answered so long after it was submitted."""
        self._write_seconds.observe(seconds)

    def batch(self, size: int, seconds: float) -> None:
        """A batch of so many commands took so long."""
        self._batch_sizes.observe(size)
        self._batch_seconds.observe(seconds)

    def appended(self, events: Iterable[RecordedEvent]) -> None:
        """These events are committed."""
        for event in events:
            self._appended[event.type] += 1

    def add(self, collector: Collector) -> None:
        """Something else that has figures."""
        self._registry.register(collector)

    def text(self) -> bytes:
        """Everything, in Prometheus's text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """What the library asks for."""
        yield self._write_seconds.metric("fidelog_write_seconds", "From submitting a command to its answer.")
        yield self._batch_sizes.metric("fidelog_batch_commands", "Commands in a batch.")
        yield self._batch_seconds.metric("fidelog_batch_seconds", "From taking a batch to its answers.")
        yield GaugeMetricFamily("fidelog_queue_commands", "Commands queued, in no batch yet.", value=self._depth())
        yield from self._events()
        yield from self._following()
        yield self._sealed()
        yield from self._witnessed()

    def _events(self) -> Iterator[Metric]:
        appended = CounterMetricFamily("fidelog_events_appended", "Events appended by this process.", labels=["type"])
        for kind, number in sorted(self._appended.items()):
            appended.add_metric([kind], number)
        yield appended
        for name, meaning, kind in (
            ("fidelog_lease_expiries", "Leases that ran out.", "TaskLeaseExpired"),
            ("fidelog_stale_completions", "Results refused for a stale claim token.", "TaskCompletionRejected"),
        ):
            yield CounterMetricFamily(name, meaning, value=self._appended[kind])

    def _following(self) -> Iterator[Metric]:
        for name, meaning, read in _OF_A_TAIL:
            gauge = GaugeMetricFamily(name, meaning, labels=["tenant", "tail"])
            for tail in self._tails():
                gauge.add_metric([tail.tenant_id, tail.name], read(tail))
            yield gauge

    def _sealed(self) -> Metric:
        gauge = GaugeMetricFamily(
            "fidelog_checkpoint_age_seconds", "Since the newest checkpoint was signed; a log that rests signs none.",
            labels=["tenant"],
        )  # fmt: skip
        for tail in self._tails():
            if isinstance(tail, Sealer) and tail.signed_at is not None:
                gauge.add_metric([tail.tenant_id], max(time.time() - tail.signed_at, 0.0))
        return gauge

    def _witnessed(self) -> Iterator[Metric]:
        collected = [tail for tail in self._tails() if isinstance(tail, Cosigning)]
        age = GaugeMetricFamily(
            "fidelog_witnessed_age_seconds", "Since a checkpoint last reached the witnesses' quorum.", labels=["tenant"]
        )
        for one in collected:
            if one.witnessed is not None:
                age.add_metric([one.tenant_id], max(time.time() - one.witnessed.at.timestamp(), 0.0))
        yield age
        for name, meaning, read in _OF_A_WITNESS:
            gauge = GaugeMetricFamily(name, meaning, labels=["tenant", "witness"])
            for one in collected:
                for witness in one.witnesses:
                    gauge.add_metric([one.tenant_id, witness.key.name], read(witness))
            yield gauge


_OF_A_WITNESS: tuple[tuple[str, str, Callable[[Witness], float]], ...] = (
    (
        "fidelog_witness_position",
        "The largest checkpoint with the witness's cosignature.",
        lambda witness: witness.cosigned,
    ),
    (
        "fidelog_witness_fault",
        "1 when it did not cosign as it was asked last.",
        lambda witness: int(witness.fault is not None),
    ),
)

_OF_A_TAIL: tuple[tuple[str, str, Callable[[Following], float]], ...] = (
    ("fidelog_tail_position", "The last event the tail handled.", lambda tail: tail.position),
    ("fidelog_tail_lag", "Events the tail has not handled yet.", lambda tail: tail.lag),
    ("fidelog_tail_fault", "1 while the tail stands still.", lambda tail: int(tail.fault is not None)),
)
