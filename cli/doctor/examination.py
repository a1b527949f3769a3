"""The examination: reads from Redis itself and not through the API, which may be the part that does not work."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing

import anyio
from redis.asyncio import Redis

from cli.doctor import redis_checks, service_checks
from cli.doctor.away import NO_PERMISSION, away
from cli.doctor.finding import Finding, bad
from cli.doctor.permissions import TTL_MS, permissions
from shared.ledger.operations import Operations
from shared.ledger.presence import Presence, SeenWeb, SeenWorker
from shared.ledger.queue_depth import QueueDepth
from shared.log.event_log import EventLog
from shared.redis.client import closed_in_time, open_redis
from shared.redis.keys import Keys
from shared.redis.pipe import Pipe, info_command
from shared.redis.startup import permanent_fault
from shared.run.errors import Unavailable
from shared.settings import Settings

MOST_SECONDS, ANSWER_SECONDS, CLOSE_SECONDS = 4.0, 2.0, 0.5  # it ends within 5 s, whatever Redis does
ROUNDS = 5  # pings, of which the quickest counts: the others also waited for other work


async def examined(settings: Settings) -> list[Finding]:
    """All findings. Never raises: a Redis that does not answer is a finding."""
    keys = Keys(settings.namespace)
    ledger = _redis(settings.redis_url, keys, "REDIS_URL", ledger=True)
    if settings.events_url == settings.redis_url:
        return await ledger
    found, logs = await asyncio.gather(ledger, _redis(settings.events_url, keys, "EVENTS_REDIS_URL", ledger=False))
    return [*found, *(one.model_copy(update={"check": f"logs: {one.check}"}) for one in logs)]


async def _redis(url: str, keys: Keys, setting: str, *, ledger: bool) -> list[Finding]:
    try:
        with anyio.fail_after(MOST_SECONDS):
            async with closed_in_time(CLOSE_SECONDS) as opened:
                redis = await opened.enter_async_context(open_redis(url, max_connections=3, socket_timeout=None))
                if fault := await permanent_fault(redis):
                    return [bad("redis", f"it {fault.partition(':')[0]}", f"In {setting}: {fault.partition(': ')[2]}.")]
                pipe = await opened.enter_async_context(aclosing(Pipe(redis, patience=ANSWER_SECONDS)))
                return await _examined(redis, pipe, keys, ledger=ledger)
    except Unavailable as why:
        return [away(str(why), setting)]
    except TimeoutError:
        return [away("TimeoutError", setting)]


async def _examined(redis: Redis, pipe: Pipe, keys: Keys, *, ledger: bool) -> list[Finding]:
    own = f"{{{keys.namespace}}}:doctor"
    try:
        await pipe.command("SET", own, "1", "PX", TTL_MS)  # a full Redis or a replica says so here
        await pipe.command("DEL", own)
    except Unavailable as why:
        if NO_PERMISSION not in str(why):  # the next check names each command and key
            raise
    allowed = await permissions(redis, pipe, keys)
    if any(one.level == "bad" for one in allowed):
        return [*redis_checks.server_checks(await info_command(pipe), webs=0, workers=0), *allowed]
    presence = Presence(pipe, keys)
    workers, webs = await asyncio.gather(presence.workers(), presence.webs())
    live = len([one for one in webs if one.live]), len([one for one in workers if one.live])
    found = [
        redis_checks.round_trip(min([await _round_trip(pipe) for _ in range(ROUNDS)])),
        *redis_checks.server_checks(await info_command(pipe), webs=live[0], workers=live[1]),
        redis_checks.clock(await _skew_ms(pipe)),
        *allowed,
    ]
    return [*found, *await _service(pipe, keys, workers, webs)] if ledger else found


async def _service(pipe: Pipe, keys: Keys, workers: list[SeenWorker], webs: list[SeenWeb]) -> list[Finding]:
    depth = await QueueDepth(pipe, keys).read()
    paused = await Operations(pipe, keys, EventLog(pipe, keys, retention_ms=1)).paused()
    return [
        service_checks.webs(webs),
        service_checks.workers(workers),
        service_checks.releases(workers, webs),
        service_checks.agents(workers, depth),
        service_checks.queue(depth, paused),
    ]


async def _round_trip(pipe: Pipe) -> float:
    sent = time.perf_counter()
    await pipe.command("PING")
    return (time.perf_counter() - sent) * 1000


async def _skew_ms(pipe: Pipe) -> float:
    before = time.time()
    seconds, micros = _time(await pipe.command("TIME"))
    return (seconds + micros / 1_000_000 - (before + time.time()) / 2) * 1000


def _time(reply: object) -> tuple[int, int]:
    assert isinstance(reply, tuple | list), reply
    seconds, micros = reply
    return int(seconds), int(micros)
