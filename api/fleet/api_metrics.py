"""The metrics of an API process: of itself and, at each scrape, of the whole service. docs/monitoring.md has a table of
them; a test compares the two."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from shared.ledger.presence import ANY, SeenWorker
from shared.ledger.queue_depth import Depth, FleetDepth
from shared.observe.process_metrics import TRIP_BUCKETS, ProcessMetrics, agent_label
from shared.run.run import End, Run

METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
STATES = ("serving", "draining", "silent")  # silent: the worker's announcement is overdue
FLEET = "Whole service, from Redis at the scrape: every API process says the same, so take max, not sum."


class ApiMetrics(ProcessMetrics):
    """An `api.http.instrumentation.ApiInstrumentation`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self._agents: Collection[str] = ()
        self._accepted = Counter("runrelay_runs_accepted", "Runs accepted.", ["agent"], registry=registry)
        self._gaps = Counter(
            "runrelay_gap_fills",
            "Times a reader went to the stream for what pub/sub had not brought, or not fast enough.",
            registry=registry,
        )
        self._responses = Counter(
            "runrelay_http_responses", "Answers to requests.", ["method", "route", "status"], registry=registry
        )
        self._response_start = Histogram(
            "runrelay_http_response_start_seconds",
            "From a request until its answer began; of a stream, until it was accepted.",
            ["route"],
            buckets=(*TRIP_BUCKETS, 10, 30, 60, 300),
            registry=registry,
        )
        self._streams = Gauge("runrelay_open_streams", "Event streams being sent.", registry=registry)
        self._sent = Counter("runrelay_sent_bytes", "Bytes of bodies sent.", registry=registry)
        self._redis_up = Gauge(
            "runrelay_redis_up", "1 if Redis answered this process at the scrape, else 0.", registry=registry
        )
        self._waiting = _fleet("waiting_runs", "Runs that wait for a worker.", registry)
        self._in_line = _fleet("in_line_runs", "Runs that wait for their session's turn.", registry)
        self._running = _fleet("running_runs", "Runs that a worker has.", registry)
        self._oldest = _fleet("oldest_wait_seconds", "How long the first has waited for a worker; 0: none.", registry)
        self._workers = Gauge(
            "runrelay_workers",
            f"Workers by `state`: serving, draining or silent. {FLEET}",
            ["state"],
            registry=registry,
        )
        self._slots = Gauge(
            "runrelay_slots",
            f"Runs that workers execute at once, by their `state`. {FLEET}",
            ["state"],
            registry=registry,
        )

    # --- counted as it happens ----------------------------------------------------------------------------------------

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
        self._forget_fleet()
        self._redis_up.set(1)
        for agent, part in _by_label(depth, self._agents).items():
            self._waiting.labels(agent).set(part.waiting)
            self._in_line.labels(agent).set(part.in_line)
            self._running.labels(agent).set(part.running)
            self._oldest.labels(agent).set(part.oldest_wait_ms / 1000)
        for state in STATES:
            self._workers.labels(state).set(0)
            self._slots.labels(state).set(0)
        for seen in workers:
            if seen.announcement.state != "gone":
                self._workers.labels(_state(seen)).inc()
                self._slots.labels(_state(seen)).inc(seen.announcement.slots)

    def hide_fleet(self) -> None:
        """Removes the values of the whole service while Redis is away: an old value would look like a current one."""
        self._forget_fleet()
        self._redis_up.set(0)

    def _forget_fleet(self) -> None:
        for gauge in (self._waiting, self._in_line, self._running, self._oldest, self._workers, self._slots):
            gauge.clear()


def _fleet(name: str, what: str, registry: CollectorRegistry) -> Gauge:
    return Gauge(f"runrelay_{name}", f"{what} {FLEET}", ["agent"], registry=registry)


def _by_label(depth: FleetDepth, agents: Collection[str]) -> Mapping[str, Depth]:
    """The depth of every known agent, also of one without runs, because a series that comes and goes cannot be
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
