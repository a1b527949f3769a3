"""The metrics of a worker. docs/monitoring.md has a table of them; a test compares the two."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from prometheus_client import CollectorRegistry

from shared.observe.metric_factory import MetricFactory
from shared.observe.process_metrics import RUN_BUCKETS, WAIT_BUCKETS, ProcessMetrics, agent_label
from shared.run.run import End
from worker.attempt.execution import Execution


class WorkerMetrics(ProcessMetrics):
    """A `worker.attempt.run_instrumentation.RunInstrumentation`."""

    def __init__(self, registry: CollectorRegistry, *, agents: Collection[str]) -> None:
        """`agents` are the ids of the configured agents, with `*` if configured."""
        super().__init__(registry)
        self._agents = frozenset(agents)
        new = MetricFactory(registry)
        self._durations = _Durations(new)
        self._attempts = _Attempts(new)
        self._tokens = new.counter(
            "runrelay_tokens",
            "Tokens that agents reported for the runs that this worker ended; `kind` is prompt or completion.",
            "agent",
            "kind",
        )
        self._busy = new.gauge("runrelay_worker_busy_slots", "Runs that this worker executes now.")
        self._slots = new.gauge("runrelay_worker_slots", "Runs that this worker executes at once.")

    def slots(self, slots: int, busy: Callable[[], int]) -> None:
        """Each scrape calls `busy`."""
        self._slots.set(slots)
        self._busy.set_function(busy)

    def taken(self, execution: Execution) -> None:
        claim = execution.claim
        if claim.lost:
            self._attempts.recovered.inc()
        elif claim.ready_ms:
            self._durations.queue_wait.labels(self._label(execution)).observe(claim.waited)

    def started(self, execution: Execution) -> None:
        self._attempts.started.labels(self._label(execution)).inc()
        if execution.claim.attempt > 1:
            self._attempts.retries.labels(self._label(execution)).inc()

    def first_delta(self, execution: Execution) -> None:
        claim = execution.claim
        waited = (claim.now_ms - claim.queued_ms) / 1000  # by Redis's clock; the rest by this worker's
        self._durations.first_delta.labels(self._label(execution)).observe(waited + _seconds(execution))

    def ended(self, execution: Execution, end: End) -> None:
        label = self._label(execution)
        self.count_end(label, end)
        self._durations.run.labels(label, end.state.value).observe(_seconds(execution))
        self._tokens.labels(label, "prompt").inc(end.usage.prompt_tokens)
        self._tokens.labels(label, "completion").inc(end.usage.completion_tokens)

    def handed_back(self, execution: Execution) -> None:
        self._attempts.handed_back.inc()

    def fenced(self, execution: Execution) -> None:
        self._attempts.fenced.inc()

    def lease_lost(self, execution: Execution) -> None:
        self._attempts.leases_lost.inc()

    def _label(self, execution: Execution) -> str:
        return agent_label(execution.claim.run.agent_id, self._agents)


class _Durations:
    """How long runs wait and take, in seconds."""

    def __init__(self, new: MetricFactory) -> None:
        self.queue_wait = new.histogram(
            "runrelay_queue_wait_seconds",
            "From when a run was ready for a worker until one claimed it. Waiting for a session's turn does not count.",
            "agent",
            buckets=WAIT_BUCKETS,
        )
        self.first_delta = new.histogram(
            "runrelay_time_to_first_delta_seconds",
            "From when a run was accepted until its agent's first text.",
            "agent",
            buckets=WAIT_BUCKETS,
        )
        self.run = new.histogram(
            "runrelay_run_seconds",
            "From when a worker claimed a run until that worker ended it.",
            "agent",
            "state",
            buckets=RUN_BUCKETS,
        )


class _Attempts:
    """Counts how attempts begin, and how they end on a worker before their run has ended."""

    def __init__(self, new: MetricFactory) -> None:
        self.started = new.counter("runrelay_attempts", "Times a worker started an agent for a run.", "agent")
        self.retries = new.counter(
            "runrelay_retries",
            "Attempts after a run's first, because a worker was lost or drained.",
            "agent",
        )
        self.recovered = new.counter(
            "runrelay_runs_recovered", "Runs that this worker took over from a worker whose lease was over."
        )
        self.handed_back = new.counter(
            "runrelay_runs_handed_back", "Runs that a draining worker handed back to the queue."
        )
        self.fenced = new.counter(
            "runrelay_fenced_writes", "Attempts whose writes Redis refused, because a later attempt owns the run."
        )
        self.leases_lost = new.counter(
            "runrelay_leases_lost", "Renewals that Redis refused; the worker stopped the agent."
        )


def _seconds(execution: Execution) -> float:
    return time.monotonic() - execution.claimed_at
