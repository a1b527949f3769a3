"""What a worker measures. docs/monitoring.md has the table of it; a test compares the two."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from shared.observe.process_metrics import RUN_BUCKETS, WAIT_BUCKETS, ProcessMetrics, agent_label
from shared.run.run import End
from worker.attempt.execution import Execution


class WorkerMetrics(ProcessMetrics):
    """A `worker.attempt.run_instrumentation.Watch`."""

    def __init__(self, registry: CollectorRegistry, *, agents: Collection[str]) -> None:
        """`agents` are the configured ones, `*` among them."""
        super().__init__(registry)
        self._agents = frozenset(agents)
        self._queue_wait = Histogram(
            "runrelay_queue_wait_seconds",
            "From when a worker could have taken a run until one did. Waiting for the session's turn does not count.",
            ["agent"],
            buckets=WAIT_BUCKETS,
            registry=registry,
        )
        self._first_delta = Histogram(
            "runrelay_time_to_first_delta_seconds",
            "From when a run was accepted until its agent's first text.",
            ["agent"],
            buckets=WAIT_BUCKETS,
            registry=registry,
        )
        self._run = Histogram(
            "runrelay_run_seconds",
            "From when a worker took a run until that worker ended it.",
            ["agent", "state"],
            buckets=RUN_BUCKETS,
            registry=registry,
        )
        self._attempts = Counter(
            "runrelay_attempts", "Times an agent was started for a run.", ["agent"], registry=registry
        )
        self._retries = Counter(
            "runrelay_retries",
            "Attempts that were not their run's first, after a worker was lost or has drained.",
            ["agent"],
            registry=registry,
        )
        self._recovered = Counter(
            "runrelay_runs_recovered", "Runs taken over from a worker whose lease was over.", registry=registry
        )
        self._handed_back = Counter(
            "runrelay_runs_handed_back", "Runs given back to the queue by a draining worker.", registry=registry
        )
        self._fenced = Counter(
            "runrelay_fenced_writes",
            "Attempts whose writes were refused, because another one owns the run.",
            registry=registry,
        )
        self._leases_lost = Counter(
            "runrelay_leases_lost", "Renewals that were refused; the agent was stopped.", registry=registry
        )
        self._tokens = Counter(
            "runrelay_tokens",
            "Tokens that agents reported of the runs that ended here; `kind` is prompt or completion.",
            ["agent", "kind"],
            registry=registry,
        )
        self._busy = Gauge("runrelay_worker_busy_slots", "Runs on this worker.", registry=registry)
        self._slots = Gauge("runrelay_worker_slots", "Runs that this worker executes at once.", registry=registry)

    def slots(self, slots: int, busy: Callable[[], int]) -> None:
        """`busy` is asked at each scrape."""
        self._slots.set(slots)
        self._busy.set_function(busy)

    def taken(self, execution: Execution) -> None:
        claim = execution.claim
        if claim.lost:
            self._recovered.inc()
        elif claim.ready_ms:
            self._queue_wait.labels(self._label(execution)).observe(claim.waited)

    def started(self, execution: Execution) -> None:
        self._attempts.labels(self._label(execution)).inc()
        if execution.claim.attempt > 1:
            self._retries.labels(self._label(execution)).inc()

    def first_delta(self, execution: Execution) -> None:
        claim = execution.claim
        waited = (claim.now_ms - claim.queued_ms) / 1000  # by Redis's clock; the rest by ours, so that none is compared
        self._first_delta.labels(self._label(execution)).observe(waited + _seconds(execution))

    def ended(self, execution: Execution, end: End) -> None:
        label = self._label(execution)
        self.count_end(label, end)
        self._run.labels(label, end.state.value).observe(_seconds(execution))
        self._tokens.labels(label, "prompt").inc(end.usage.prompt_tokens)
        self._tokens.labels(label, "completion").inc(end.usage.completion_tokens)

    def handed_back(self, execution: Execution) -> None:
        self._handed_back.inc()

    def fenced(self, execution: Execution) -> None:
        self._fenced.inc()

    def lease_lost(self, execution: Execution) -> None:
        self._leases_lost.inc()

    def _label(self, execution: Execution) -> str:
        return agent_label(execution.claim.run.agent_id, self._agents)


def _seconds(execution: Execution) -> float:
    return time.monotonic() - execution.claimed_at
