"""The metrics that API processes and workers have in common, for Prometheus.

Rule 1: a label has few values. Where `[agents."*"]` serves any id, agent ids come from clients. So an id that no worker
has configured counts under `*`. There is no label for a run, a session or a credential.
"""

from __future__ import annotations

from collections.abc import Container

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder

from shared.ledger.presence import ANY
from shared.observe.metric_factory import MetricFactory
from shared.run.errors import ErrorCode
from shared.run.release import RELEASE
from shared.run.run import End
from shared.run.states import State

WAIT_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
RUN_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
TRIP_BUCKETS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class ProcessMetrics:
    """The common metrics of a process. Each process has one, in a registry of its own."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        new = MetricFactory(registry)
        new.gauge("runrelay_build_info", "Always 1; the label is the release.", "version").labels(RELEASE).set(1)
        self._round_trip = new.histogram(
            "runrelay_redis_round_trip_seconds",
            "Round trips to Redis, each of which may carry many commands. Blocking ones and pub/sub are not counted.",
            buckets=TRIP_BUCKETS,
        )
        self._failed_trips = new.counter(
            "runrelay_redis_failed_round_trips",
            "Round trips that a connection did not survive. What they asked for is asked again.",
        )
        self._unreadable = new.counter(
            "runrelay_unreadable",
            "Records, events and entries in Redis that could not be read. Each failed alone or was passed over.",
            "kind",
        )
        self._loop_failures = new.counter(
            "runrelay_loop_failures",
            "Times that a loop of this process raised what nobody foresaw and was started again.",
            "loop",
        )
        self._lag = new.histogram(
            "runrelay_loop_lag_seconds",
            "How much later than asked the event loop woke a sleeper, looked at ten times a second.",
            buckets=WAIT_BUCKETS,
        )
        self._ended = new.counter(
            "runrelay_runs_ended",
            "Runs that this process brought to their end. `code` is why one failed or was cancelled.",
            "agent",
            "state",
            "code",
        )

    # --- round trips to Redis (shared.redis.client.TripInstrumentation) -----------------------------------------------

    def answered(self, seconds: float) -> None:
        self._round_trip.observe(seconds)

    def failed(self) -> None:
        self._failed_trips.inc()

    def unreadable(self, kind: str) -> None:
        self._unreadable.labels(kind).inc()

    def loop_failed(self, loop: str) -> None:
        self._loop_failures.labels(loop).inc()

    # --- the rest -----------------------------------------------------------------------------------------------------

    def lagged(self, seconds: float) -> None:
        self._lag.observe(seconds)

    def count_end(self, agent: str, end: End) -> None:
        """Counts the end of a run. `agent` is a label, as `agent_label` makes it."""
        self._ended.labels(agent, end.state.value, _why(end)).inc()


def agent_label(agent_id: str, known: Container[str]) -> str:
    return agent_id if agent_id in known else ANY


def exposition(registry: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    """The metrics of a registry in the form that the scraper prefers, and their content type."""
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


_CODES = frozenset(ErrorCode)


def _why(end: End) -> str:
    if end.state is State.CANCELLED:
        return end.reason.value if end.reason else ""
    return end.code if not end.code or end.code in _CODES else "other"  # a code of a later release
