from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager

import anyio
import pytest
from redis.asyncio import Redis
from structlog.contextvars import clear_contextvars
from structlog.testing import capture_logs

from shared.observe.logging import bind_run
from shared.observe.supervision import Beat
from shared.redis.pipe import Pipe
from shared.run.errors import Closed
from shared.run.events import Completed, Event
from shared.run.run import End
from shared.run.states import State
from tests.broker import KEYS, Look
from tests.events import RUN_ID, deltas, head_after, said
from tests.lossy import LossyPipe
from tests.runs import a_run
from tests.wait import wait_until
from worker.attempt.compacting_log import WORTH_IT, CompactingLog

END = End(state=State.COMPLETED)


def written(events: int, run_id: str = RUN_ID) -> list[Event]:
    return [*deltas(*map(str, range(events - 1)), run_id=run_id), *said(Completed(), first=events, run_id=run_id)]


async def close(log: CompactingLog, events: Sequence[Event]) -> None:
    await log.fence(events[0].run_id, 1)
    await log.close(events, head_after(events), END)


@pytest.fixture
def log(pipe: Pipe) -> CompactingLog:
    return CompactingLog(pipe, KEYS, retention_ms=60_000)


@asynccontextmanager
async def compacting(log: CompactingLog) -> AsyncIterator[None]:
    async with anyio.create_task_group() as group:
        group.start_soon(log.compact_forever, Beat())
        yield
        group.cancel_scope.cancel()


async def small(redis: Redis, run_id: str = RUN_ID) -> bool:
    return bool(await redis.xlen(KEYS.stream(run_id)) == 1)


async def test_the_log_of_a_run_that_said_much_is_made_small(log: CompactingLog, redis: Redis) -> None:
    events = written(WORTH_IT + 1)
    async with compacting(log):
        await close(log, events)
        await wait_until(lambda: small(redis), "the log is small")
    assert await log.read(RUN_ID, 0) == events


async def test_one_log_comes_after_the_other(log: CompactingLog, redis: Redis) -> None:
    for run_id in "abc":
        await close(log, written(100, run_id))
    async with compacting(log):
        await wait_until(lambda: small(redis, "c"), "the last log is small")
    assert await small(redis, "a")
    assert await small(redis, "b")


async def test_the_log_of_a_run_that_said_little_stays_as_it_is(log: CompactingLog, redis: Redis) -> None:
    await close(log, written(WORTH_IT, "little"))
    await close(log, written(WORTH_IT + 1))
    async with compacting(log):
        await wait_until(lambda: small(redis), "the log that came later is small")
    assert await redis.xlen(KEYS.stream("little")) == WORTH_IT


async def test_a_log_that_another_worker_has_closed_is_left_to_it(log: CompactingLog, pipe: Pipe, redis: Redis) -> None:
    events = written(100, "theirs")
    await close(CompactingLog(pipe, KEYS, retention_ms=60_000), events)
    with pytest.raises(Closed):
        await close(log, events)
    await close(log, written(100))
    async with compacting(log):
        await wait_until(lambda: small(redis), "the log that came later is small")
    assert await redis.xlen(KEYS.stream("theirs")) == 100


async def test_compacting_waits_for_a_redis_that_is_away(redis: Redis) -> None:
    async with aclosing(LossyPipe(redis)) as pipe:
        log = CompactingLog(pipe, KEYS, retention_ms=60_000)
        await close(log, written(100))
        pipe.faults = ["before", "after", "", "before", "", "", "after"]
        async with compacting(log):
            await wait_until(lambda: pipe.faults == [], "it was tried again and again")
            await wait_until(lambda: small(redis), "the log is small")


async def test_a_log_that_cannot_be_compacted_is_told_of_and_holds_up_no_other(
    log: CompactingLog, redis: Redis, look: Look
) -> None:
    run = a_run()
    async with anyio.create_task_group() as group:

        async def closed() -> None:
            clear_contextvars()  # left by other tests
            bind_run(run, 1)
            await close(log, written(100, run.run_id))

        group.start_soon(closed)
    look.xdel(KEYS.stream(run.run_id), "0-7")
    await close(log, written(100))
    with capture_logs() as lines:
        async with compacting(log):
            await wait_until(lambda: small(redis), "the next log is small")
    (line,) = lines
    assert line == {
        "event": "run.not_compacted",
        "log_level": "warning",
        "why": "LogLost",
        "run": run.run_id,
        "session": run.session_key,
        "agent": "main",
        "attempt": 1,
    }
    assert await redis.xlen(KEYS.stream(run.run_id)) == 99


async def test_where_more_is_closed_than_can_be_compacted_the_oldest_stay_as_they_are(pipe: Pipe, redis: Redis) -> None:
    log = CompactingLog(pipe, KEYS, retention_ms=60_000, waiting=2)
    for run_id in "abcd":
        await close(log, written(100, run_id))
    async with compacting(log):
        await wait_until(lambda: small(redis, "d"), "the last log is small")
    assert [await redis.xlen(KEYS.stream(run_id)) for run_id in "abcd"] == [100, 100, 1, 1]
