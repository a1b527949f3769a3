from __future__ import annotations

import pytest

from shared.ledger.ledger import Ledger
from shared.ledger.operations import Operations
from shared.ledger.queue_depth import Depth, FleetDepth, QueueDepth
from shared.log.event_log import EventLog
from shared.redis.pipe import Pipe
from shared.run.run import Policy, Run
from tests.broker import KEYS, Look
from tests.runs import DONE, a_run, claim_one, end_lane_check, forget, submit


@pytest.fixture
def depth(pipe: Pipe) -> QueueDepth:
    return QueueDepth(pipe, KEYS)


def waits_since(look: Look, run: Run, ms_ago: int) -> None:
    seconds, micros = look.time()
    ready = KEYS.prefixes()["ready"] + run.agent_id
    look.zadd(ready, {run.run_id: seconds * 1000 + micros / 1000 - ms_ago}, xx=True)


async def test_an_idle_service_has_nothing(depth: QueueDepth) -> None:
    assert await depth.read() == FleetDepth(Depth(), {})


async def test_runs_are_counted_by_agent_and_by_what_they_wait_for(ledger: Ledger, depth: QueueDepth) -> None:
    for agent in ("main", "main", "coder"):
        await submit(ledger, a_run(agent_id=agent))
    await claim_one(ledger)
    for _ in range(3):
        await submit(ledger, a_run("agent:main:one-after-the-other"))
    seen = await depth.read()
    assert (seen.total.waiting, seen.total.in_line, seen.total.running) == (3, 2, 1)
    assert (seen.agents["main"].waiting, seen.agents["main"].in_line, seen.agents["main"].running) == (2, 2, 1)
    assert seen.agents["coder"].waiting == 1


async def test_the_oldest_wait_is_that_of_the_first_run_a_worker_could_take(
    ledger: Ledger, depth: QueueDepth, look: Look
) -> None:
    runs = [a_run(agent_id="main"), a_run(agent_id="coder"), a_run(agent_id="main")]
    for run, ago in zip(runs, (10_000, 70_000, 20_000), strict=True):
        await submit(ledger, run)
        waits_since(look, run, ago)
    seen = await depth.read()
    assert seen.total.oldest_wait_ms == seen.agents["coder"].oldest_wait_ms
    assert 70_000 <= seen.agents["coder"].oldest_wait_ms < 80_000
    assert 20_000 <= seen.agents["main"].oldest_wait_ms < 30_000


async def test_a_run_whose_session_is_busy_waits_for_no_worker_however_long(
    ledger: Ledger, depth: QueueDepth, look: Look
) -> None:
    """More workers would not start it, so the numbers must not make a scaler add workers."""
    first, second = a_run("agent:main:s"), a_run("agent:main:s")
    await submit(ledger, first)
    await claim_one(ledger)
    await submit(ledger, second)
    end_lane_check(look, second.run_id)
    assert (await depth.read()).total == Depth(waiting=0, in_line=1, running=1, oldest_wait_ms=0)


async def test_a_run_that_has_ended_is_not_counted(ledger: Ledger, depth: QueueDepth) -> None:
    await submit(ledger, a_run())
    await ledger.settle(await claim_one(ledger), DONE)
    assert await depth.read() == FleetDepth(Depth(), {})


async def test_what_is_no_run_of_ours_is_not_counted(ledger: Ledger, depth: QueueDepth, look: Look) -> None:
    """arq's own `enqueue_job` may have enqueued it, or Redis may have evicted its record, which a claim finds out."""
    lost = a_run()
    look.zadd(KEYS.queue, {"phantom": 1})
    await submit(ledger, lost)
    await submit(ledger, a_run())
    forget(look, lost.run_id)
    await claim_one(ledger)
    assert (await depth.read()).total == Depth(running=1)


async def test_the_total_counts_more_agents_than_have_rows(ledger: Ledger, pipe: Pipe) -> None:
    for agent in ("main", "main", "coder", "coder"):
        await submit(ledger, a_run(agent_id=agent))
    seen = await QueueDepth(pipe, KEYS, most_agents=1).read()
    assert seen.total.waiting == 4
    assert {agent: depth.waiting for agent, depth in seen.agents.items()} == {"coder": 2}


async def test_what_a_pause_holds_back_waits_for_no_worker(ledger: Ledger, depth: QueueDepth, pipe: Pipe) -> None:
    """More workers would not start it. A claim changes none of the numbers."""
    operations = Operations(pipe, KEYS, EventLog(pipe, KEYS, retention_ms=60_000))
    for agent in ("main", "coder", "coder"):
        await submit(ledger, a_run(agent_id=agent))
    await operations.pause("coder", who="olga")
    for _ in range(2):
        seen = await depth.read()
        assert (seen.total.waiting, seen.total.held, seen.agents["coder"].held) == (1, 2, 2)
        assert seen.agents["coder"].oldest_wait_ms == 0
        await ledger.claim("w1", serves={"coder": Policy()}, lease_ms=60_000, most=9)
    await operations.resume("coder", who="olga")
    assert (await depth.read()).total.held == 0
