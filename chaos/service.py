"""The service under test: API and worker processes as the Procfile starts them, and a Valkey. A proxy is in front of
Valkey and of each API process.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import httpx

from chaos.journal import VARIABLE, Journal
from chaos.proxy import Proxy
from chaos.valkey import Valkey
from shared.redis.keys import Keys
from tests.e2e.process import COMMANDS, ROOT, Process
from tests.ports import free_port

MARK = "CHAOS_MARK"  # in the environment of every process of a round, and of the processes that those start
TOKEN = "chaos-token"
KEYS = Keys("chaos")
TICK_SECONDS = 0.02
READY_SECONDS = 30.0
STOP_SECONDS = 30.0  # longer than a drain and the end that follows it

WORK = ".runrelay/work"  # where a worker keeps the directories of sessions
WORK_BYTES = 4_000_000
DESCRIPTORS = 400  # that a process may have open: too few for all that a fault opens


def _limited(module: str) -> str:
    return f"ulimit -n {DESCRIPTORS} && exec python -m chaos.stumbling {module}"


def mounting() -> str:
    """The command that gives a process file systems of its own; an empty text where this user may not have any."""
    command = "unshare --mount" if os.geteuid() == 0 else "unshare --map-root-user --mount"
    attempt = [*command.split(), "sh", "-c", "mount -t tmpfs chaos /tmp"]
    try:
        return command if subprocess.run(attempt, capture_output=True).returncode == 0 else ""
    except FileNotFoundError:
        return ""


def commands() -> Mapping[str, str]:
    """Those of the Procfile, for processes that stumble when they are told to, and that may run out of descriptors and
    of disk: nothing else on the machine notices."""
    disk = f"mkdir -p {WORK} && mount -t tmpfs -o size={WORK_BYTES} chaos {WORK} && " if mounting() else ""
    return {"web": f"sh -c '{_limited('api')}'", "worker": f"{mounting()} sh -c '{disk}{_limited('worker')}'"}


SETTINGS = {
    "API_TOKENS": f"chaos:{TOKEN}",
    "AGENTS_FILE": str(ROOT / "chaos/agents.toml"),
    "HOST": "127.0.0.1",
    "NAMESPACE": KEYS.namespace,
    "LEASE_SECONDS": "2",
    "DRAIN_SECONDS": "6",  # an API process may need 5 s to learn whether a run was accepted
    "QUEUE_TIMEOUT_SECONDS": "90",
    "RUN_TIMEOUT_SECONDS": "60",
    "RETENTION_SECONDS": "86400",  # longer than the steps of Redis's clock
    "WORKER_CONCURRENCY": "40",
}


@dataclass(frozen=True)
class Exit:
    """A process that ended by itself. `line` is the last one that it wrote."""

    name: str
    code: int
    line: str

    @property
    def told(self) -> bool:
        """Whether the line says why."""
        return self.line.startswith("runrelay: ")


@dataclass
class Service:
    """Clients reach `webs` through their proxies, so an address stays when its process is replaced."""

    folder: Path
    valkey: Valkey
    redis: Proxy
    webs: list[tuple[Proxy, Process]]
    workers: list[Process]
    settings: Mapping[str, str]
    commands: Mapping[str, str]
    mark: str
    started: list[Process] = field(default_factory=list)

    @property
    def urls(self) -> list[str]:
        return [f"http://127.0.0.1:{proxy.port}" for proxy, _ in self.webs]

    @property
    def journal(self) -> Journal:
        return Journal(self.folder / "journal")

    def start(self, kind: str, port: int = 0) -> Process:
        settings = {**SETTINGS, **self.settings, "PORT": str(port or free_port())}
        settings |= {
            "METRICS_PORT": str(free_port()),
            "REDIS_URL": f"redis://127.0.0.1:{self.redis.port}",
            VARIABLE: str(self.folder / "journal"),
            MARK: self.mark,
        }
        log = self.folder / f"{kind}-{len(self.started)}.log"
        process = Process(kind, settings, log, commands=self.commands)
        self.started.append(process)
        return process

    async def start_worker(self) -> Process:
        worker = self.start("worker")
        self.workers.append(worker)
        return worker

    async def start_web(self, at: int) -> None:
        """Starts an API process and, when it answers, points a proxy to it."""
        proxy, _ = self.webs[at]
        port = free_port()
        web = self.start("web", port)
        await answers(web, port)
        proxy.target = port
        self.webs[at] = proxy, web

    async def ready(self) -> None:
        """Waits until all API processes see a live worker."""
        async with asyncio.timeout(READY_SECONDS), httpx.AsyncClient() as http:
            for proxy, web in self.webs:
                while not await succeeds(http, f"http://127.0.0.1:{proxy.target}/readyz"):
                    for process in (web, *self.workers):
                        assert process.running, f"{process.name} has ended: {process.output}"
                    await asyncio.sleep(TICK_SECONDS)

    async def stop(self) -> list[Exit]:
        """Ends every process by SIGTERM. Returns the exits that no fault explains."""
        for process in self.started:
            if process.running:
                process.signal(signal.SIGCONT)
                process.signal(signal.SIGTERM)
        async with asyncio.timeout(STOP_SECONDS):
            while any(process.running for process in self.started):
                await asyncio.sleep(TICK_SECONDS)
        return [Exit(p.name, p.exit_code(), _last_line(p)) for p in self.started if p.exit_code() not in ENDS]

    def kill(self) -> None:
        for process in self.started:
            if process.running:
                process.kill()


def _last_line(process: Process) -> str:
    return (process.output.strip().splitlines() or [""])[-1]


ENDS = (0, -signal.SIGKILL, -signal.SIGTERM)  # it drained; a fault killed it; it did not handle signals yet


async def answers(web: Process, port: int) -> None:
    async with asyncio.timeout(READY_SECONDS), httpx.AsyncClient() as http:
        while not await succeeds(http, f"http://127.0.0.1:{port}/healthz"):
            assert web.running, web.output
            await asyncio.sleep(TICK_SECONDS)


async def succeeds(http: httpx.AsyncClient, url: str) -> bool:
    """Whether the address answers with a 2xx."""
    try:
        return (await http.get(url)).is_success
    except httpx.TransportError:
        return False


@asynccontextmanager
async def running(
    folder: Path,
    *,
    apis: int,
    workers: int,
    settings: Mapping[str, str] | None = None,
    commands: Mapping[str, str] = COMMANDS,
) -> AsyncIterator[Service]:
    """A service that is ready. Leaving the context ends all of its processes, also after an error."""
    valkey = Valkey(folder, free_port())
    redis = Proxy(valkey.port)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(redis.serving())
        service = Service(folder, valkey, redis, [], [], settings or {}, commands, f"{os.getpid()}-{uuid4().hex}")
        stack.push_async_callback(valkey.end, signal.SIGKILL)
        stack.callback(service.kill)
        await valkey.start()
        for _ in range(workers):
            await service.start_worker()
        for _ in range(apis):
            port = free_port()
            proxy = Proxy(port)
            await stack.enter_async_context(proxy.serving())
            service.webs.append((proxy, service.start("web", port)))
        await service.ready()
        yield service
