"""The three services, each on its own processes, and what they cost."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
from redis.asyncio import Redis

from chaos.proxy import Proxy
from chaos.service import free_port, succeeds
from chaos.valkey import Valkey
from tests.e2e.process import COMMANDS, ROOT, Process

TOKEN = "bench-token"
READY_SECONDS = 60.0
TICK_SECONDS = 0.02

_UVICORN = "python -m uvicorn --loop uvloop --http httptools --no-access-log --log-level warning --port $PORT"
CEILING: Mapping[str, str] = {"web": f"{_UVICORN} bench.ceiling:app"}
NAIVE: Mapping[str, str] = {
    "web": f"{_UVICORN} bench.naive.web:app",
    "worker": "python -m arq bench.naive.worker.WorkerSettings",
}
RUNRELAY = COMMANDS  # the Procfile's own lines

SETTINGS = {
    "API_TOKENS": f"bench:{TOKEN}",
    "AGENTS_FILE": str(ROOT / "bench/agents.toml"),
    "HOST": "127.0.0.1",
    "WORKER_CONCURRENCY": "1000",
}


@dataclass(frozen=True)
class BenchService:
    name: str
    ports: list[int]
    webs: list[Process]
    workers: list[Process]
    valkey: Valkey | None

    def cpu(self, of: Iterable[Process] = ()) -> float:
        """CPU time used so far, s: of these processes, else of all, Redis included."""
        chosen = tuple(of) or (*self.webs, *self.workers)
        pids = [process.pid for process in chosen]
        if not of and self.valkey is not None:
            pids.append(self.valkey.pid)
        return sum(map(_cpu, pids))

    def parts(self) -> dict[str, float]:
        """CPU time used so far by each part of it, s."""
        parts = {"API": self.cpu(self.webs)}
        if self.valkey is not None:
            parts |= {"workers": self.cpu(self.workers), "Redis": _cpu(self.valkey.pid)}
        return parts

    def memory(self) -> int:
        """Bytes that the web processes hold."""
        return sum(psutil.Process(web.pid).memory_info().rss for web in self.webs)

    def look(self) -> Redis:
        assert self.valkey is not None
        return self.valkey.look()


def _cpu(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


@asynccontextmanager
async def running(
    name: str,
    commands: Mapping[str, str],
    folder: Path,
    *,
    webs: int = 1,
    workers: int = 1,
    redis_delay: float = 0.0,
    settings: Mapping[str, str] | None = None,
) -> AsyncIterator[BenchService]:
    """A service that is ready. Redis is `redis_delay` seconds away, there and back."""
    folder.mkdir(parents=True)
    async with AsyncExitStack() as stack:
        known = {**SETTINGS, **(settings or {})}
        valkey = None
        if "worker" in commands:
            valkey = Valkey(folder, free_port(), fsync="everysec")
            stack.push_async_callback(valkey.end, signal.SIGKILL)
            await valkey.start()
            known["REDIS_URL"] = f"redis://127.0.0.1:{await _way(valkey.port, redis_delay, stack)}"
        started: list[Process] = []
        stack.push_async_callback(_end, started)

        def start(kind: str, number: int, port: int = 0) -> Process:
            own = {**known, "PORT": str(port or free_port()), "PYTHONPATH": str(ROOT)}
            started.append(Process(kind, own, folder / f"{kind}-{number}.log", commands=commands))
            return started[-1]

        ports = [free_port() for _ in range(webs)]
        crew = [start("worker", number) for number in range(workers if valkey else 0)]
        service = BenchService(name, ports, [start("web", n, port) for n, port in enumerate(ports)], crew, valkey)
        await _ready(service)
        yield service


async def _way(port: int, delay: float, stack: AsyncExitStack) -> int:
    if not delay:
        return port
    proxy = Proxy(port)
    proxy.delay = delay / 2  # in each direction
    await stack.enter_async_context(proxy.serving())
    return proxy.port


async def _ready(service: BenchService) -> None:
    async with asyncio.timeout(READY_SECONDS), httpx.AsyncClient() as http:
        for port in service.ports:
            while not await succeeds(http, f"http://127.0.0.1:{port}/readyz"):
                for process in (*service.webs, *service.workers):
                    assert process.running, f"{process.name} has ended: {process.said}"
                await asyncio.sleep(TICK_SECONDS)


async def _end(started: list[Process]) -> None:
    """In a thread: a proxy to Redis goes on meanwhile, which they need for their last words."""
    for process in started:
        if process.running:
            process.signal(signal.SIGTERM)
    for process in started:
        await asyncio.to_thread(process.ends)
