"""Every metric of API processes and workers, each used once, so that its labels show."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

from api.fleet.api_metrics import ApiMetrics
from shared.ledger.ledger import Claim
from shared.ledger.presence import Announcement, SeenWorker
from shared.ledger.queue_depth import Depth, FleetDepth
from shared.run.events import StopReason
from shared.run.run import End, Policy
from shared.run.states import State
from tests.runs import a_run
from worker.attempt.execution import Execution
from worker.worker_metrics import WorkerMetrics

END = End(state=State.CANCELLED, reason=StopReason.USER)


@dataclass(frozen=True)
class Measured:
    """A metric. `name` is its name in PromQL, without a histogram's `_bucket`, `_sum` and `_count`."""

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str


def measured_by_api() -> dict[str, Measured]:
    registry = CollectorRegistry()
    metrics = ApiMetrics(registry)
    _use(metrics)
    metrics.accepted("main")
    metrics.ended(a_run(), END)
    metrics.gap()
    metrics.answered_request("GET", "/v1/runs", 200, 0.1)
    metrics.stream_began()
    metrics.stream_ended()
    metrics.sent(1)
    metrics.know(["main"])
    worker = Announcement(worker="w", host="h", pid=1, version="1", slots=1, running=0, since_ms=0, agents={})
    metrics.show_fleet(FleetDepth(Depth(), {}), [SeenWorker(worker, 0)])
    return _measured(registry)


def measured_by_worker() -> dict[str, Measured]:
    registry = CollectorRegistry()
    metrics = WorkerMetrics(registry, agents=["main"])
    _use(metrics)
    metrics.slots(1, lambda: 0)
    execution = asyncio.run(_execution())
    metrics.taken(execution)
    metrics.started(execution)
    metrics.first_delta(execution)
    metrics.ended(execution, END)
    metrics.handed_back(execution)
    metrics.fenced(execution)
    metrics.lease_lost(execution)
    return _measured(registry)


async def _execution() -> Execution:
    # its scope needs an event loop
    return Execution(Claim(a_run(), "w/2", 2, 2, False, None, False, 3, Policy(), 1, 2))


def _use(metrics: ApiMetrics | WorkerMetrics) -> None:
    metrics.answered(0.1)
    metrics.failed()
    metrics.unreadable("run")
    metrics.loop_failed("hub")
    metrics.lagged(0.1)


def _measured(registry: CollectorRegistry) -> dict[str, Measured]:
    """The project's own metrics. prometheus-client adds those of the process and of Python, and documents them."""
    ours = [_described(family) for family in registry.collect() if family.name.startswith("runrelay_")]
    return {one.name: one for one in ours}


def _described(family: Metric) -> Measured:
    assert family.samples, f"{family.name} has labels that nothing here uses"
    names = {label: None for sample in family.samples for label in sample.labels if label != "le"}
    suffix = "_total" if family.type == "counter" else ""
    return Measured(family.name + suffix, family.type, tuple(names), family.documentation)
