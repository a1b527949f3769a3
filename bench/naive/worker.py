"""The worker of the naive service: stock arq with its defaults, and one publish for each delta.

python -m arq bench.naive.worker.WorkerSettings
"""

from __future__ import annotations

import json
import os

from arq.connections import ArqRedis, RedisSettings

from bench.work import Work, emit_deltas


async def run_agent(ctx: dict[str, ArqRedis], run_id: str, message: str) -> None:
    redis = ctx["redis"]
    async for delta in emit_deltas(Work.of(message)):
        await redis.publish(run_id, json.dumps({"type": "delta", "delta": delta}))
    await redis.publish(run_id, json.dumps({"type": "end"}))


class WorkerSettings:
    functions = (run_agent,)
    redis_settings = RedisSettings.from_dsn(os.environ.get("REDIS_URL", "redis://127.0.0.1:6379"))
