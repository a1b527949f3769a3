"""The three services, each with processes of its own, and the CPU and memory that they use."""

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
from chaos.service import succeeds
from chaos.valkey import Valkey
from tests.e2e.process import COMMANDS, ROOT, Process
from tests.ports import free_port

TOKEN = "bench-token"
READY_SECONDS = 60.0
TICK_SECONDS = 0.02

_UVICORN = "python -m uvicorn --loop uvloop --http httptools --no-access-log --log-level warning --port $PORT"
CEILING: Mapping[str, str] = {"web": f"{_UVICORN} bench.ceiling:app"}
NAIVE: Mapping[str, str] = {
    "web": f"{_UVICORN} bench.naive.web:app",
    "worker": "python -m arq bench.naive.worker.WorkerSettings",
}
RUNRELAY = COMMANDS  # the lines of the Procfile

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
        """CPU time used so far, s: of the processes in `of`, or of all with Redis when `of` is empty."""
        chosen = tuple(of) or (*self.webs, *self.workers)
        pids = [process.pid for process in chosen]
        if not of and self.valkey is not None:
            pids.append(self.valkey.pid)
        return sum(map(_cpu, pids))

    def parts(self) -> dict[str, float]:
        """CPU time used so far by each part of the service, s."""
        parts = {"API": self.cpu(self.webs)}
        if self.valkey is not None:
            parts |= {"workers": self.cpu(self.workers), "Redis": _cpu(self.valkey.pid)}
        return parts

    def memory(self) -> int:
        """Resident memory of the web processes, bytes."""
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
    """A service that is ready. A round trip to Redis takes `redis_delay` seconds longer than without."""
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
                    assert process.running, f"{process.name} has ended: {process.output}"
                await asyncio.sleep(TICK_SECONDS)


async def _end(started: list[Process]) -> None:
    """Ends the processes, waiting in a thread: meanwhile the proxy to Redis goes on, which they need for their last
    writes.
    """
    for process in started:
        if process.running:
            process.signal(signal.SIGTERM)
    for process in started:
        await asyncio.to_thread(process.ends)
