from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import anyio
import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from shared.ledger.ledger import Ledger, Renewal
from shared.log.event_log import EventLog, Head
from shared.observe.supervision import Beat
from shared.run.events import Queued, StopReason
from tests.broker import KEYS, Look
from tests.events import said
from tests.lossy import LossyPipe
from tests.runs import DONE, a_run, claim_one, end_lease, running
from tests.wait import wait_until
from worker.attempt.execution import Execution
from worker.claim.leases import Leases

SHORT = 0.03  # seconds: the worker renews the lease after a third of it


class CountingLedger(Ledger):
    """A ledger that notes the runs of each renewal."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger._pipe, KEYS)
        self.renewals: list[dict[str, str]] = []

    async def renew(self, leases: Mapping[str, str], *, lease_ms: int) -> dict[str, Renewal]:
        self.renewals.append(dict(leases))
        return await super().renew(leases, lease_ms=60_000)


class SlowLedger(Ledger):
    """A ledger whose answer to a renewal waits until the test lets it through."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger._pipe, KEYS)
        self.asked, self.let_through = anyio.Event(), anyio.Event()

    async def renew(self, leases: Mapping[str, str], *, lease_ms: int) -> dict[str, Renewal]:
        self.asked.set()
        await self.let_through.wait()
        return {run_id: Renewal(held=False) for run_id in leases}


@asynccontextmanager
async def kept(leases: Leases) -> AsyncIterator[None]:
    async with anyio.create_task_group() as group:
        group.start_soon(leases.keep, Beat())
        yield
        group.cancel_scope.cancel()


async def held(leases: Leases, ledger: Ledger) -> Execution:
    execution = Execution(await running(ledger))
    leases.hold(execution)
    return execution


async def test_all_leases_are_renewed_by_one_call(ledger: Ledger, log: EventLog) -> None:
    counting = CountingLedger(ledger)
    leases = Leases(counting, log, lease_seconds=SHORT)
    executions = [await held(leases, ledger) for _ in range(3)]
    async with kept(leases):
        await wait_until(lambda: counting.renewals, "the leases were renewed")
    assert counting.renewals[0] == {one.run_id: one.claim.token for one in executions}
    assert [one.stopped for one in executions] == [None] * 3


async def test_without_runs_nothing_is_asked(ledger: Ledger, log: EventLog) -> None:
    counting = CountingLedger(ledger)
    leases = Leases(counting, log, lease_seconds=SHORT)
    dropped = await held(leases, ledger)
    leases.drop(dropped)
    kept_one = CountingLedger(ledger)
    others = Leases(kept_one, log, lease_seconds=SHORT)
    await held(others, ledger)
    async with kept(leases), kept(others):
        await wait_until(lambda: len(kept_one.renewals) >= 3, "others have renewed theirs")
    assert counting.renewals == []


async def test_a_run_that_another_worker_owns_is_stopped(ledger: Ledger, log: EventLog, look: Look) -> None:
    leases = Leases(ledger, log, lease_seconds=SHORT)
    lost, fine = await held(leases, ledger), await held(leases, ledger)
    end_lease(look, lost.run_id)
    await claim_one(ledger, "w2")
    async with kept(leases):
        await wait_until(lambda: lost.stopped, "the run is stopped")
    assert lost.stopped is StopReason.LEASE_LOST
    assert fine.stopped is None


async def test_a_run_that_shall_be_stopped_is_stopped(ledger: Ledger, log: EventLog) -> None:
    """It is stopped even when the order over pub/sub, which is only for speed, got lost."""
    leases = Leases(ledger, log, lease_seconds=SHORT)
    execution = await held(leases, ledger)
    await ledger.cancel(execution.run_id, StopReason.DISCONNECT)
    async with kept(leases):
        await wait_until(lambda: execution.stopped, "the run is stopped")
    assert execution.stopped is StopReason.DISCONNECT


async def test_while_redis_is_away_renewing_goes_on(redis: Redis, log: EventLog, look: Look) -> None:
    pipe = LossyPipe(redis)
    ledger = Ledger(pipe, KEYS)
    leases = Leases(ledger, log, lease_seconds=SHORT)
    execution = await held(leases, ledger)
    pipe.faults = ["before", "after", "before"]
    end_lease(look, execution.run_id)
    async with kept(leases):
        await wait_until(lambda: not pipe.faults, "some renewals have failed")
        end_lease(look, execution.run_id)
        await wait_until(lambda: look.zscore(KEYS.leases, execution.run_id), "the lease is renewed all the same")
    assert execution.stopped is None
    await pipe.aclose()


async def test_an_answer_about_a_run_that_has_ended_meanwhile_is_ignored(ledger: Ledger, log: EventLog) -> None:
    slow = SlowLedger(ledger)
    leases = Leases(slow, log, lease_seconds=SHORT)
    ended, running_on = await held(leases, ledger), await held(leases, ledger)
    async with kept(leases):
        await slow.asked.wait()
        leases.drop(ended)
        slow.let_through.set()
        await wait_until(lambda: running_on.stopped, "the answer has come")
    assert ended.stopped is None


@pytest.mark.parametrize("handed_back", [False, True])
async def test_a_lease_that_was_given_up_is_not_lost(
    ledger: Ledger, log: EventLog, look: Look, handed_back: bool
) -> None:
    """The ledger's answer to the release is still under way when the lease is renewed."""
    leases = Leases(ledger, log, lease_seconds=SHORT)
    given_up, lost = await held(leases, ledger), await held(leases, ledger)
    end_lease(look, lost.run_id)
    other = await claim_one(ledger, "w2")
    if handed_back:
        await ledger.release(given_up.run_id, given_up.claim.token, spend=False)
    else:
        await ledger.settle(given_up.claim, DONE)
    await ledger.settle(other, DONE)
    with capture_logs() as logs:
        async with kept(leases):
            await wait_until(lambda: lost.stopped, "the leases were renewed")
    assert given_up.stopped is None
    assert {(one["event"], one["run"]) for one in logs} == {("lease.lost", lost.run_id)}


async def test_an_answer_about_an_earlier_attempt_does_not_stop_the_next(
    ledger: Ledger, log: EventLog, look: Look
) -> None:
    """After a pause longer than the lease, a worker may claim its own run again."""
    slow = SlowLedger(ledger)
    leases = Leases(slow, log, lease_seconds=SHORT)
    first, other = await held(leases, ledger), await held(leases, ledger)
    async with kept(leases):
        await slow.asked.wait()
        end_lease(look, first.run_id)
        second = Execution(await claim_one(ledger))
        leases.hold(second)
        slow.let_through.set()
        await wait_until(lambda: other.stopped, "the answer has come")
        assert second.stopped is None
        leases.drop(other)


async def test_a_worker_that_claims_its_own_run_anew_stops_its_earlier_attempt(
    ledger: Ledger, log: EventLog, look: Look
) -> None:
    leases = Leases(ledger, log, lease_seconds=60)
    first = await held(leases, ledger)
    end_lease(look, first.run_id)
    second = Execution(await claim_one(ledger))
    leases.hold(second)
    assert first.stopped is StopReason.LEASE_LOST
    leases.drop(first)
    assert leases.execution(second.run_id) is second
    assert second.stopped is None


async def test_all_runs_can_be_stopped_at_once(ledger: Ledger, log: EventLog) -> None:
    leases = Leases(ledger, log, lease_seconds=60)
    executions = [await held(leases, ledger) for _ in range(2)]
    leases.stop_all(StopReason.DRAIN)
    assert [one.stopped for one in executions] == [StopReason.DRAIN, StopReason.DRAIN]


async def test_the_log_of_a_silent_run_is_kept_alive(ledger: Ledger, log: EventLog, look: Look) -> None:
    run = a_run()
    await log.append(said(Queued(), attempt=0, run_id=run.run_id), Head(1))
    leases = Leases(ledger, log, lease_seconds=60, touch_seconds=SHORT)
    leases.hold(Execution(await running(ledger, run)))
    names = (KEYS.stream(run.run_id), KEYS.head(run.run_id))
    for name in names:
        look.pexpire(name, 20_000)
    async with anyio.create_task_group() as group:
        group.start_soon(leases.touch_forever, Beat())
        await wait_until(lambda: all(look.pttl(name) > 20_000 for name in names), "the log lives longer")
        group.cancel_scope.cancel()


async def test_touching_logs_outlives_a_redis_that_is_away(redis: Redis, ledger: Ledger, look: Look) -> None:
    pipe = LossyPipe(redis, ["before", "after", "before", "after"])
    log = EventLog(pipe, KEYS, retention_ms=60_000)
    run = a_run()
    look.hset(KEYS.head(run.run_id), "seq", 1)
    look.pexpire(KEYS.head(run.run_id), 20_000)
    leases = Leases(ledger, log, lease_seconds=60, touch_seconds=SHORT)
    leases.hold(Execution(await running(ledger, run)))
    async with anyio.create_task_group() as group:
        group.start_soon(leases.touch_forever, Beat())
        await wait_until(lambda: look.pttl(KEYS.head(run.run_id)) > 20_000, "the log lives longer")
        group.cancel_scope.cancel()
    await pipe.aclose()
