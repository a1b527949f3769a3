"""The cases that measure how much runrelay can hold, and how far away Redis may be. Each starts a service of its own."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

from redis.asyncio import Redis

from bench.exchange import Exchange, read, request, request_again, run_id_of
from bench.figures import Figures, p50, p99
from bench.load import connected, loaded, undisturbed
from bench.services import RUNRELAY, TOKEN, BenchService, running
from bench.work import Work

MS = 1e3
KB = 1e3


@dataclass(frozen=True)
class Trial:
    name: str
    title: str
    play: Callable[[Path], Awaitable[Figures]]


async def _held(folder: Path) -> Figures:
    """5,000 streams with a run each. All runs emit their next delta at the same moment and end some seconds later."""
    clients = 5_000
    async with _service(folder, settings={"WORKER_CONCURRENCY": str(clients)}) as service:
        await loaded(service, Work(1), clients=50, requests=4)
        empty = service.memory()
        work = Work(2, hold_until=time.monotonic() + 30, linger=5)
        connections, exchanges = await connected(service.ports, clients), [Exchange(work) for _ in range(clients)]
        with undisturbed():
            raw = request(service.ports[0], work, token=TOKEN)
            answered = asyncio.gather(*(c.ask(raw, e) for c, e in zip(connections, exchanges, strict=True)))
            await asyncio.sleep(work.hold_until - time.monotonic() - 1)
            grown, held = service.memory() - empty, sum(len(exchange.pieces) > 1 for exchange in exchanges)
            await asyncio.sleep(work.hold_until - time.monotonic())
            parts, own_cpu = service.parts(), time.process_time()
            await asyncio.sleep(work.linger)
            own_cpu, after = time.process_time() - own_cpu, service.parts()
            await answered
        for connection in connections:
            connection.close()
        return {
            "streams held": held,
            "KB per stream": grown / held / KB,
            **_served(exchanges, work),
            **{f"CPU for it, s: {part}": cpu - parts[part] for part, cpu in after.items()},
            "CPU for it, s: client": own_cpu,
        }


async def _one_for_all(folder: Path) -> Figures:
    """5,000 clients read one run, and receive its next delta."""
    clients = 5_000
    async with _service(folder) as service:
        work, [port] = Work(2, hold_until=time.monotonic() + 20, linger=5), service.ports
        first, *others = await connected(service.ports, clients)
        exchanges = [Exchange(work) for _ in range(clients)]
        with undisturbed():
            posted = asyncio.create_task(first.ask(request(port, work, token=TOKEN), exchanges[0]), name="first reader")
            await asyncio.sleep(1)
            again = request_again(port, run_id_of(exchanges[0]), token=TOKEN)
            readers = [c.ask(again, exchange) for c, exchange in zip(others, exchanges[1:], strict=True)]
            await asyncio.gather(posted, *readers)
        for connection in (first, *others):
            connection.close()
        return _served(exchanges, work)


def _served(exchanges: Sequence[Exchange], work: Work) -> Figures:
    """The time from the moment of the last delta until the first client and until the last client has it, s."""
    lateness = [read(exchange).last_arrival - work.hold_until for exchange in exchanges]
    return {"first of all served after, s": min(lateness), "last of all served after, s": max(lateness)}


async def _idle(folder: Path) -> Figures:
    """12 workers, 100 silent runs, nothing queued."""
    async with _service(folder, workers=12) as service, service.look() as redis:
        work = Work(2, hold_until=time.monotonic() + 30)
        held = asyncio.create_task(loaded(service, work, clients=100), name="silent runs")
        await asyncio.sleep(10)
        sent = await _commands(redis, seconds=15)
        await held
        return {"commands/s": sent["sent"] / 15, "of scripts besides, commands/s": sent["script"] / 15}


async def _commands(redis: Redis, *, seconds: float) -> Counter[str]:
    """How many commands clients sent (`sent`), and how many commands scripts ran (`script`)."""
    counted: Counter[str] = Counter()
    async with redis.monitor() as monitor:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                async for command in monitor.listen():
                    counted["script" if command["client_type"] == "lua" else "sent"] += 1
    return counted


async def _distant(folder: Path) -> Figures:
    """The wall time of an answer of 2,000 deltas over 10 s, compared with a Redis on this machine without delay."""
    work, figures, near = Work(2_000, interval=0.005), Figures(), 0.0
    for away in (0.0, 0.001, 0.05):
        async with _service(folder / f"away-{away}", redis_delay=away) as service:
            await loaded(service, Work(20), requests=3)
            load = await loaded(service, work, clients=5, within=1.0)
        wall = p50(answer.whole for answer in load.answers)
        near = near or wall
        figures[f"{away * MS:g} ms away: first content, ms"] = p50(answer.first * MS for answer in load.answers)
        figures[f"{away * MS:g} ms away: wall time, s"] = wall
        figures[f"{away * MS:g} ms away: against beside it, %"] = (wall / near - 1) * 100
    return figures


async def _slow_reader(folder: Path) -> Figures:
    """99 fast readers, in turns without and with a slow reader, which reads 1 KB/s of an answer of 2.4 MB."""
    fast, slow = Work(100, interval=0.02), Work(100_000)
    without, beside, grown = [], [], []
    async with _service(folder) as service:
        await loaded(service, fast, clients=99, within=1.0)
        for _ in range(4):
            without.append(p99((await loaded(service, fast, clients=99, within=1.0)).delays))
            memory = service.memory()
            [connection] = await connected(service.ports, 1, pace=1_000)
            reading = connection.ask(request(service.ports[0], slow, token=TOKEN), Exchange(slow))
            lagging = asyncio.create_task(reading, name="slow reader")
            await asyncio.sleep(2)  # until the agent has emitted all of it: its cost is not part of this case
            beside.append(p99((await loaded(service, fast, clients=99, within=1.0)).delays))
            grown.append(service.memory() - memory)
            lagging.cancel()
            connection.close()
    return {
        "delay p99 without it, ms": p50(without) * MS,
        "delay p99 beside it, ms": p50(beside) * MS,
        "delay p99 beside it, times that without": p50(beside) / p50(without),
        "API memory grown, KB": max(grown) / KB,
    }


async def _kept(folder: Path) -> Figures:
    """16,000 characters at 60 tokens/s. The memory is measured after the worker has compacted the log."""
    work = Work(4_000, interval=1 / 60, stamped=False)
    async with _service(folder) as service, service.look() as redis:
        await loaded(service, Work(1))
        before, written = await _sizes(redis), await _written(redis)
        await loaded(service, work)
        sizes = Counter(await _at_rest(redis))
        written = await _written(redis) - written
        sizes.subtract(before)
        events, end = (sum(sizes[key] for key in sizes if key.endswith(part)) for part in (b":events", b":head"))
        return {
            "written, KB": written / KB,
            "kept, KB": sizes.total() / KB,
            "of it the events, KB": events / KB,
            "of it the end with the text, KB": end / KB,
        }


def _service(
    folder: Path, *, workers: int = 1, redis_delay: float = 0.0, settings: Mapping[str, str] | None = None
) -> AbstractAsyncContextManager[BenchService]:
    return running("runrelay", RUNRELAY, folder, workers=workers, redis_delay=redis_delay, settings=settings)


async def _written(redis: Redis) -> float:
    """Bytes that clients have sent to Redis."""
    info = await redis.info("stats")
    return float(info["total_net_input_bytes"])


async def _sizes(redis: Redis) -> dict[bytes, int]:
    """Bytes of memory of each key, all its elements counted."""
    return {key: await redis.memory_usage(key, samples=0) or 0 async for key in redis.scan_iter()}


async def _at_rest(redis: Redis) -> dict[bytes, int]:
    """Bytes of memory of each key, as soon as they stay the same for a second."""
    sizes, last = await _sizes(redis), dict[bytes, int]()
    while sizes != last:
        await asyncio.sleep(1)
        sizes, last = await _sizes(redis), sizes
    return sizes


TRIALS = (
    Trial("held", "5,000 held streams on one API process", _held),
    Trial("readers", "5,000 readers of one run", _one_for_all),
    Trial("idle", "12 workers, 100 silent runs, nothing queued", _idle),
    Trial("distant", "Redis away: an answer of 2,000 deltas, one every 5 ms", _distant),
    Trial("slow", "99 fast readers beside one that reads 1 KB/s", _slow_reader),
    Trial("kept", "16,000 characters at 60 tokens/s", _kept),
)
