"""arq's own classes read what the ledger writes, so that dashboards and scripts made for arq keep working.

One thing differs, on purpose. arq keeps a running job in its queue. The ledger removes it, so that running runs do not
crowd out waiting ones. Therefore `Job.result()` has nothing to wait for while a run is running, but `status()` reports
the job as in progress.
"""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

import pytest
from arq.connections import ArqRedis
from arq.jobs import Job, JobDef, JobResult, JobStatus, ResultNotFound, SerializationError
from redis.asyncio import Redis

from shared.ledger.ledger import JOB, Ledger
from shared.run.events import StopReason
from shared.run.run import End
from shared.run.states import State
from tests.broker import KEYS
from tests.runs import DONE, a_run, claim_one, running, submit


def job(redis: Redis, run_id: str) -> Job:
    return Job(run_id, redis, KEYS.queue, json.loads)


def what(info: JobDef) -> dict[str, object]:
    return {name: getattr(info, name) for name in ("function", "args", "kwargs", "job_try")}


async def result(redis: Redis, run_id: str) -> object:
    return await job(redis, run_id).result(timeout=0, poll_delay=0.001)


async def test_no_job(redis: Redis) -> None:
    assert await job(redis, "none").status() is JobStatus.not_found
    assert await job(redis, "none").info() is None
    with pytest.raises(ResultNotFound):
        await result(redis, "none")


async def test_a_queued_run_is_a_queued_job(redis: Redis, ledger: Ledger) -> None:
    run = a_run(created_ms=1_700_000_000_123)
    await submit(ledger, run)
    info = await job(redis, run.run_id).info()
    assert isinstance(info, JobDef)
    assert what(info) == {"function": JOB, "args": [run.run_id], "kwargs": {}, "job_try": None}
    assert info.enqueue_time == datetime(2023, 11, 14, 22, 13, 20, 123_000, tzinfo=UTC)
    assert info.score is not None
    assert await job(redis, run.run_id).status() is JobStatus.queued
    assert await job(redis, run.run_id).result_info() is None
    with pytest.raises(asyncio.TimeoutError):
        await result(redis, run.run_id)


async def test_a_run_that_waits_for_its_session_is_a_deferred_job(redis: Redis, ledger: Ledger) -> None:
    first, run = a_run("s"), a_run("s")
    await submit(ledger, first)
    await submit(ledger, run)
    assert await job(redis, run.run_id).status() is JobStatus.deferred
    with pytest.raises(asyncio.TimeoutError):
        await result(redis, run.run_id)
    await ledger.settle(await claim_one(ledger), DONE)
    assert await job(redis, run.run_id).status() is JobStatus.queued


async def test_a_running_run_is_a_job_in_progress(redis: Redis, ledger: Ledger) -> None:
    run = a_run()
    await running(ledger, run)
    assert await job(redis, run.run_id).status() is JobStatus.in_progress
    info = await job(redis, run.run_id).info()
    assert info is not None
    assert what(info) == {"function": JOB, "args": [run.run_id], "kwargs": {}, "job_try": None}
    assert info.score is None
    assert await job(redis, run.run_id).result_info() is None
    with pytest.raises(ResultNotFound):
        await result(redis, run.run_id)


async def test_a_run_that_was_handed_back_is_a_queued_job(redis: Redis, ledger: Ledger) -> None:
    claimed = await running(ledger)
    await ledger.release(claimed.run.run_id, claimed.token, spend=False)
    assert await job(redis, claimed.run.run_id).status() is JobStatus.queued


async def test_a_completed_run_is_a_job_with_a_result(redis: Redis, ledger: Ledger) -> None:
    run = a_run()
    claimed = await running(ledger, run)
    await ledger.settle(claimed, DONE)
    assert await job(redis, run.run_id).status() is JobStatus.complete
    info = await job(redis, run.run_id).info()
    assert isinstance(info, JobResult)
    assert what(info) == {"function": JOB, "args": [run.run_id], "kwargs": {}, "job_try": 1}
    assert info.score is None
    assert (info.success, info.result) == (True, "completed")
    assert (info.queue_name, info.job_id) == (KEYS.queue, run.run_id)
    record = await ledger.record(run.run_id)
    assert record is not None
    times = (info.enqueue_time, info.start_time, info.finish_time)
    expected = (record.queued_ms, record.started_ms, record.ended_ms)
    assert tuple(round(time.timestamp() * 1000) for time in times) == expected
    assert await result(redis, run.run_id) == "completed"


@pytest.mark.parametrize("state", [State.FAILED, State.CANCELLED])
async def test_any_other_end_is_a_job_without_success(redis: Redis, ledger: Ledger, state: State) -> None:
    run = a_run()
    await ledger.settle(await running(ledger, run), End.model_validate({"state": state}))
    assert await job(redis, run.run_id).status() is JobStatus.complete
    info = await job(redis, run.run_id).result_info()
    assert info is not None
    assert (info.success, info.result) == (False, state.value)
    with pytest.raises(SerializationError, match=state.value):  # raised by arq when a failure's result is no exception
        await result(redis, run.run_id)


async def test_a_run_that_never_started_is_a_job_that_started_when_it_ended(redis: Redis, ledger: Ledger) -> None:
    """arq's result must have a start time."""
    run = a_run()
    await submit(ledger, run)
    await ledger.cancel(run.run_id, StopReason.USER)
    claimed = await claim_one(ledger)
    await ledger.settle(claimed, End(state=State.CANCELLED))
    info = await job(redis, claimed.run.run_id).result_info()
    assert info is not None
    assert info.start_time == info.finish_time


async def test_arq_lists_our_queue_and_our_results(redis: Redis, ledger: Ledger) -> None:
    ended, first, second = a_run(), a_run(), a_run()
    await ledger.settle(await running(ledger, ended), DONE)
    await submit(ledger, first)
    await submit(ledger, second)
    arq = ArqRedis(redis.connection_pool, job_deserializer=json.loads, default_queue_name=KEYS.queue)
    assert [queued.job_id for queued in await arq.queued_jobs()] == [first.run_id, second.run_id]
    assert [done.job_id for done in await arq.all_job_results()] == [ended.run_id]
