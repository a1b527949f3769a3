"""The metrics of an API process: of itself and, at each scrape, of the whole service. docs/monitoring.md has a table of
them; a test compares the two."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from prometheus_client import CollectorRegistry

from shared.ledger.presence import ANY, SeenWorker
from shared.ledger.queue_depth import Depth, FleetDepth
from shared.observe.metric_factory import MetricFactory
from shared.observe.process_metrics import TRIP_BUCKETS, ProcessMetrics, agent_label
from shared.run.run import End, Run

METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
STATES = ("serving", "draining", "silent")  # silent: the worker's announcement is overdue
FLEET = "Whole service, from Redis at the scrape: all API processes report the same value, so take max, not sum."


class ApiMetrics(ProcessMetrics):
    """An `api.http.instrumentation.ApiInstrumentation`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self._agents: Collection[str] = ()
        new = MetricFactory(registry)
        self._accepted = new.counter("runrelay_runs_accepted", "Runs accepted.", "agent")
        self._gaps = new.counter(
            "runrelay_gap_fills",
            "Times a reader read the stream because pub/sub did not bring an event, or not in time.",
        )
        self._responses = new.counter("runrelay_http_responses", "Responses to requests.", "method", "route", "status")
        self._response_start = new.histogram(
            "runrelay_http_response_start_seconds",
            "From a request until its response began. The response of a stream begins when the run is accepted.",
            "route",
            buckets=(*TRIP_BUCKETS, 10, 30, 60, 300),
        )
        self._streams = new.gauge("runrelay_open_streams", "Event streams being sent.")
        self._sent = new.counter("runrelay_sent_bytes", "Bytes of bodies sent.")
        self._redis_up = new.gauge("runrelay_redis_up", "1 if Redis answered this process at the scrape, else 0.")
        self._fleet = _FleetGauges(new)

    # --- counted as they happen ---------------------------------------------------------------------------------------

    def accepted(self, bell: str) -> None:
        self._accepted.labels(bell).inc()

    def ended(self, run: Run, end: End) -> None:
        self.count_end(agent_label(run.agent_id, self._agents), end)

    def gap(self) -> None:
        self._gaps.inc()

    def answered_request(self, method: str, route: str, status: int, seconds: float) -> None:
        self._responses.labels(method if method in METHODS else "other", route, status).inc()
        self._response_start.labels(route).observe(seconds)

    def stream_began(self) -> None:
        self._streams.inc()

    def stream_ended(self) -> None:
        self._streams.dec()

    def sent(self, size: int) -> None:
        self._sent.inc(size)

    # --- read at the scrape -------------------------------------------------------------------------------------------

    def know(self, agents: Collection[str]) -> None:
        """Sets the agents that workers announce. All other agents count as `*`."""
        self._agents = agents

    def show_fleet(self, depth: FleetDepth, workers: Iterable[SeenWorker]) -> None:
        self._fleet.clear()
        self._redis_up.set(1)
        self._fleet.show_depth(_by_label(depth, self._agents))
        self._fleet.show_workers(workers)

    def hide_fleet(self) -> None:
        """Removes the values of the whole service while Redis is away: an old value would look like a current one."""
        self._fleet.clear()
        self._redis_up.set(0)


class _FleetGauges:
    """The whole service at the last scrape."""

    def __init__(self, new: MetricFactory) -> None:
        self._waiting = new.gauge("runrelay_waiting_runs", f"Runs that wait for a worker. {FLEET}", "agent")
        self._in_line = new.gauge("runrelay_in_line_runs", f"Runs that wait for their session's turn. {FLEET}", "agent")
        self._running = new.gauge("runrelay_running_runs", f"Runs that a worker executes. {FLEET}", "agent")
        self._oldest = new.gauge(
            "runrelay_oldest_wait_seconds",
            f"How long the first run has waited for a worker; 0: none waits. {FLEET}",
            "agent",
        )
        self._workers = new.gauge(
            "runrelay_workers", f"Workers by `state`: serving, draining or silent. {FLEET}", "state"
        )
        self._slots = new.gauge(
            "runrelay_slots", f"Runs that workers execute at once, by their `state`. {FLEET}", "state"
        )

    def clear(self) -> None:
        for gauge in (self._waiting, self._in_line, self._running, self._oldest, self._workers, self._slots):
            gauge.clear()

    def show_depth(self, labelled: Mapping[str, Depth]) -> None:
        for agent, part in labelled.items():
            self._waiting.labels(agent).set(part.waiting)
            self._in_line.labels(agent).set(part.in_line)
            self._running.labels(agent).set(part.running)
            self._oldest.labels(agent).set(part.oldest_wait_ms / 1000)

    def show_workers(self, workers: Iterable[SeenWorker]) -> None:
        for state in STATES:
            self._workers.labels(state).set(0)
            self._slots.labels(state).set(0)
        for seen in workers:
            if seen.announcement.state != "gone":
                self._workers.labels(_state(seen)).inc()
                self._slots.labels(_state(seen)).inc(seen.announcement.slots)


def _by_label(depth: FleetDepth, agents: Collection[str]) -> Mapping[str, Depth]:
    """The depth of every known agent. It includes agents without runs, because a series that comes and goes cannot be
    compared. The runs of all other agents, and of agents that `depth` does not list one by one, are under `*`."""
    labelled = {agent: depth.agents.get(agent, Depth()) for agent in agents if agent != ANY}
    total = depth.total
    labelled[ANY] = Depth(
        waiting=total.waiting - sum(part.waiting for part in labelled.values()),
        in_line=total.in_line - sum(part.in_line for part in labelled.values()),
        running=total.running - sum(part.running for part in labelled.values()),
        oldest_wait_ms=max(
            (part.oldest_wait_ms for agent, part in depth.agents.items() if agent not in labelled), default=0
        ),
    )
    return labelled


def _state(seen: SeenWorker) -> str:
    return seen.announcement.state if seen.heard else "silent"
