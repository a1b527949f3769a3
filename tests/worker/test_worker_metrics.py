from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import anyio
import pytest
from prometheus_client import CollectorRegistry

from shared.ledger.ledger import Claim, Ledger
from shared.log.event_log import EventLog
from shared.observe.supervision import Beat
from shared.run.errors import ErrorCode, RunError
from shared.run.events import Delta, StopReason, Usage
from shared.run.run import Run
from tests.broker import Look
from tests.runs import LEASE_MS, a_run, claim_one, end_lease, running, submit
from tests.worker.acting import Says, Waits
from worker.agents.protocol import Agent
from worker.attempt.attempt_limits import AttemptLimits
from worker.attempt.execution import Execution
from worker.attempt.job import Job
from worker.claim.leases import Leases
from worker.worker_metrics import WorkerMetrics


@dataclass
class Bench:
    """Runs attempts, and reads what was counted of them."""

    ledger: Ledger
    log: EventLog
    registry: CollectorRegistry
    metrics: WorkerMetrics

    async def attempt(self, agent: Agent, claimed: Claim) -> None:
        job = Job("w1", self.ledger, self.log, {"*": agent}, {"*": AttemptLimits(60)}, LEASE_MS / 1000, self.metrics)
        await job.run(Execution(claimed))

    async def run(self, agent: Agent, run: Run | None = None) -> None:
        await self.attempt(agent, await running(self.ledger, run))

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"runrelay_{name}", labels)

    def ends(self) -> Mapping[tuple[str, str, str], float]:
        samples = [sample for family in self.registry.collect() for sample in family.samples]
        ended = [sample for sample in samples if sample.name == "runrelay_runs_ended_total"]
        return {(one.labels["agent"], one.labels["state"], one.labels["code"]): one.value for one in ended}


@pytest.fixture
def bench(ledger: Ledger, log: EventLog) -> Bench:
    registry = CollectorRegistry()
    return Bench(ledger, log, registry, WorkerMetrics(registry, agents=["main", "*"]))


async def test_a_run_that_completes_is_counted_and_timed(bench: Bench) -> None:
    await bench.run(Says((Delta(delta="Hello"), Delta(delta="!"), Usage(prompt_tokens=7, completion_tokens=2))))
    assert bench.ends() == {("main", "completed", ""): 1}
    assert bench.value("attempts_total", agent="main") == 1
    assert bench.value("queue_wait_seconds_count", agent="main") == 1
    assert bench.value("time_to_first_delta_seconds_count", agent="main") == 1
    assert bench.value("run_seconds_count", agent="main", state="completed") == 1
    assert bench.value("tokens_total", agent="main", kind="prompt") == 7
    assert bench.value("tokens_total", agent="main", kind="completion") == 2
    assert bench.value("retries_total", agent="main") is None
    assert bench.value("fenced_writes_total") == 0


async def test_waiting_is_counted_from_when_a_worker_could_have_started_it(bench: Bench, look: Look) -> None:
    """And the first delta from when the client had its run, however long that waited for its turn."""
    run = a_run()
    await submit(bench.ledger, run)
    claimed = await claim_one(bench.ledger)
    assert 0 <= claimed.now_ms - claimed.ready_ms < 60_000
    assert 0 <= claimed.now_ms - claimed.queued_ms < 60_000
    shifted = replace(claimed, ready_ms=claimed.now_ms - 2_000, queued_ms=claimed.now_ms - 100_000)
    await bench.attempt(Says(), shifted)
    assert bench.value("queue_wait_seconds_sum", agent="main") == 2
    assert (bench.value("time_to_first_delta_seconds_sum", agent="main") or 0) >= 100


async def test_a_second_turn_waits_since_its_session_was_free(bench: Bench) -> None:
    first, second = a_run("agent:main:s"), a_run("agent:main:s")
    await submit(bench.ledger, first)
    await submit(bench.ledger, second)
    await bench.attempt(Says(), await claim_one(bench.ledger))
    claimed = await claim_one(bench.ledger)
    assert claimed.run.run_id == second.run_id
    assert claimed.queued_ms <= claimed.ready_ms <= claimed.now_ms
    record = await bench.ledger.record(first.run_id)
    assert record is not None
    assert claimed.ready_ms >= record.ended_ms


async def test_a_failed_run_is_counted_with_its_code(bench: Bench) -> None:
    await bench.run(Says((), RunError(ErrorCode.UPSTREAM_ERROR, "No luck.")))
    assert bench.ends() == {("main", "failed", "upstream_error"): 1}
    assert bench.value("time_to_first_delta_seconds_count", agent="main") is None


async def test_agents_of_clients_invention_share_one_label(bench: Bench) -> None:
    for agent_id in ("made-up-1", "made-up-2"):
        await bench.run(Says(), a_run(agent_id=agent_id))
    assert bench.ends() == {("*", "completed", ""): 2}


async def test_a_run_of_a_lost_worker_is_recovered_and_tried_again(bench: Bench, look: Look) -> None:
    claimed = await running(bench.ledger)
    end_lease(look, claimed.run.run_id)
    await bench.attempt(Says(), await claim_one(bench.ledger, "w2"))
    assert bench.value("runs_recovered_total") == 1
    assert bench.value("retries_total", agent="main") == 1
    assert bench.value("queue_wait_seconds_count", agent="main") is None, "it waited for a lease, not for a worker"
    await bench.attempt(Says(), claimed)
    assert bench.value("fenced_writes_total") == 1
    assert bench.ends() == {("main", "completed", ""): 1}


async def test_a_draining_worker_hands_back(bench: Bench) -> None:
    agent = Waits()
    execution = Execution(await running(bench.ledger))
    job = Job(
        "w1", bench.ledger, bench.log, {"main": agent}, {"main": AttemptLimits(60)}, LEASE_MS / 1000, bench.metrics
    )
    async with anyio.create_task_group() as group:
        group.start_soon(job.run, execution)
        await agent.waiting.wait()
        execution.stop(StopReason.DRAIN)
    assert bench.value("runs_handed_back_total") == 1
    assert bench.ends() == {}


async def test_a_lost_lease_is_counted(bench: Bench, look: Look) -> None:
    leases = Leases(bench.ledger, bench.log, lease_seconds=0.01, instrumentation=bench.metrics)
    execution = Execution(await running(bench.ledger))
    end_lease(look, execution.run_id)
    await claim_one(bench.ledger, "w2")
    leases.hold(execution)
    async with anyio.create_task_group() as group:
        group.start_soon(leases.keep, Beat())
        with anyio.CancelScope(), execution.scope:
            await anyio.sleep_forever()
        group.cancel_scope.cancel()
    assert bench.value("leases_lost_total") == 1


async def test_slots_are_looked_at_when_asked(bench: Bench) -> None:
    busy = 3
    bench.metrics.slots(10, lambda: busy)
    assert (bench.value("worker_slots"), bench.value("worker_busy_slots")) == (10, 3)
    busy = 4
    assert bench.value("worker_busy_slots") == 4
