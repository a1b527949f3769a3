"""The cases that ask of runrelay what it can hold, and how far away Redis may be. Each starts a service of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from redis.asyncio import Redis

from bench.exchange import Exchange, request
from bench.figures import Figures, p50, p99
from bench.load import Load, connected, loaded
from bench.services import RUNRELAY, TOKEN, Service, running
from bench.work import Work

MS = 1e3
KB = 1e3


@dataclass(frozen=True)
class Trial:
    name: str
    title: str
    play: Callable[[Path], Awaitable[Figures]]


async def _held(folder: Path) -> Figures:
    """5,000 streams wait for one delta, which comes to all at the same moment."""
    clients = 5_000
    async with _service(folder, settings={"WORKER_CONCURRENCY": str(clients)}) as service:
        await loaded(service, Work(1), clients=50, requests=4)
        empty = service.memory()
        work = Work(2, hold_until=time.monotonic() + 40)
        held = asyncio.create_task(loaded(service, work, clients=clients), name="held streams")
        await asyncio.sleep(work.hold_until - time.monotonic() - 2)
        full = service.memory()
        load = await held
        lateness = [answer.last_arrival - work.hold_until for answer in load.answers]
        return {"KB per stream": (full - empty) / clients / KB, "last of all served after, s": max(lateness)}


async def _busy(folder: Path) -> Figures:
    """1,000 streams at 20 deltas/s each."""
    async with _service(folder) as service:
        before = service.cpu(service.webs)
        load = await loaded(service, Work(200, interval=0.05), clients=1_000)
        api = service.cpu(service.webs) - before
        delays = [delay * MS for answer in load.answers for delay in answer.delays]
        return {
            "delay p50, ms": p50(delays),
            "delay p99, ms": p99(delays),
            "longest delay, ms": max(delays),
            "API CPU, cores": api / load.seconds,
            "deltas/s": 200 * 1_000 / load.seconds,
        }


async def _idle(folder: Path) -> Figures:
    """12 workers, 100 silent runs, nothing queued."""
    async with _service(folder, workers=12) as service, service.look() as redis:
        work = Work(2, hold_until=time.monotonic() + 30)
        running_ = asyncio.create_task(loaded(service, work, clients=100), name="silent runs")
        await asyncio.sleep(10)
        before, begun = await _commands(redis), time.monotonic()
        await asyncio.sleep(15)
        commands, seconds = await _commands(redis) - before, time.monotonic() - begun
        await running_
        return {"commands/s": commands / seconds}


async def _distant(folder: Path) -> Figures:
    """The wall time of a 2,000-delta answer that takes 10 s to say, against Redis beside it."""
    work, figures, near = Work(2_000, interval=0.005), Figures(), 0.0
    for away in (0.0, 0.001, 0.05):
        async with _service(folder / f"away-{away}", redis_delay=away) as service:
            await loaded(service, Work(20))
            wall = p50([answer.whole for answer in (await loaded(service, work, requests=1)).answers])
            near = near or wall
            figures[f"{away * MS:g} ms away: wall time, s"] = wall
            figures[f"{away * MS:g} ms away: against beside it, %"] = (wall / near - 1) * 100
    return figures


async def _slow_reader(folder: Path) -> Figures:
    """99 fast readers, without and with one beside them that reads 1 KB/s."""
    async with _service(folder) as service:
        fast, slow = Work(100, interval=0.02), Work(20_000)
        alone = await loaded(service, fast, clients=99)
        memory = service.memory()
        [connection] = await connected(service.ports, 1, pace=1_000)
        lagging = asyncio.create_task(
            connection.ask(request(service.ports[0], slow, token=TOKEN), Exchange(slow)), name="slow reader"
        )
        beside = await loaded(service, fast, clients=99)
        grown = service.memory() - memory
        lagging.cancel()
        connection.close()
        return {"delay p99 alone, ms": _delay(alone), "beside it, ms": _delay(beside), "memory, KB": grown / KB}


def _delay(load: Load) -> float:
    return p99(delay * MS for answer in load.answers for delay in answer.delays)


async def _kept(folder: Path) -> Figures:
    """16,000 characters at 60 tokens/s."""
    work = Work(4_000, interval=1 / 60, stamped=False)
    async with _service(folder) as service, service.look() as redis:
        await loaded(service, Work(1))
        before, keys = await _written(redis), await _sizes(redis)
        await loaded(service, work)
        written, kept = await _written(redis) - before, await _sizes(redis) - keys
        return {"written, KB": written / KB, "kept, KB": kept / KB}


async def _scaled(folder: Path) -> Figures:
    figures = Figures()
    for webs, workers in ((1, 1), (1, 2), (1, 4), (2, 2), (2, 4)):
        async with _service(folder / f"{webs}-{workers}", webs=webs, workers=workers) as service:
            await loaded(service, Work(1), clients=50, requests=4)
            short = await loaded(service, Work(1), clients=50, requests=40)
            long = await loaded(service, Work(2_000), clients=10, requests=2)
            name = f"{webs} API, {workers} workers"
            figures[f"{name}: runs/s"] = len(short.answers) / short.seconds
            figures[f"{name}: CPU ms per run"] = short.cpu / len(short.answers) * MS
            figures[f"{name}: deltas/s"] = 2_000 * len(long.answers) / long.seconds
    return figures


def _service(
    folder: Path,
    *,
    webs: int = 1,
    workers: int = 1,
    redis_delay: float = 0.0,
    settings: Mapping[str, str] | None = None,
) -> AbstractAsyncContextManager[Service]:
    return running("runrelay", RUNRELAY, folder, webs=webs, workers=workers, redis_delay=redis_delay, settings=settings)


async def _commands(redis: Redis) -> float:
    info = await redis.info("stats")
    return float(info["total_commands_processed"])


async def _written(redis: Redis) -> float:
    """Bytes that Redis has been sent."""
    info = await redis.info("stats")
    return float(info["total_net_input_bytes"])


async def _sizes(redis: Redis) -> float:
    """Bytes of all keys."""
    return float(sum([await redis.memory_usage(key) or 0 async for key in redis.scan_iter()]))


TRIALS = (
    Trial("held", "5,000 held streams on one API process", _held),
    Trial("busy", "1,000 streams at 20 deltas/s each", _busy),
    Trial("idle", "12 workers, 100 silent runs, nothing queued", _idle),
    Trial("distant", "Redis away: an answer of 2,000 deltas, one every 5 ms", _distant),
    Trial("slow", "99 fast readers beside one that reads 1 KB/s", _slow_reader),
    Trial("kept", "16,000 characters at 60 tokens/s", _kept),
    Trial("scaling", "More processes on the same two cores", _scaled),
)
