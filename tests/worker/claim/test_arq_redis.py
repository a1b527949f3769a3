from __future__ import annotations

from arq.worker import Worker
from redis.asyncio import Redis

from shared.redis.pipe import Pipe
from tests.broker import Look
from worker.claim.arq_redis import PipedArqRedis


async def test_arq_writes_its_health_record_through_the_pipe(redis: Redis, look: Look) -> None:
    pipe = Pipe(redis, connections=1)
    worker = Worker([_task], queue_name="q", redis_pool=PipedArqRedis(pipe), handle_signals=False)
    await worker.record_health()
    record = look.get("q:health-check")
    assert record is not None
    assert b"queued=0" in record
    await pipe.aclose()


async def _task(ctx: object) -> None: ...
