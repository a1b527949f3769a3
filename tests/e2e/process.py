"""One process of the service, as a line of the Procfile starts it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psutil
from honcho.environ import parse_procfile

from tests.e2e.waiting import LOOK_SECONDS

ROOT = Path(__file__).parents[2]
COMMANDS: Mapping[str, str] = parse_procfile((ROOT / "Procfile").read_text()).processes

STOP_SECONDS = 30.0  # longer than any drain in these tests

# The variables that a process gets from the environment of the tests. Settings that developers have for a service of
# their own must not be among them.
_KEPT = ("HOME", "LANG", "LC_ALL", "TMPDIR")


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process, in which `python` is the one that runs the tests."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"
    return {**kept, "PATH": path, "PYTHONUNBUFFERED": "1", **settings}


class Process:
    """A process of the service. The constructor starts it in the process group of the tests, so that Ctrl-C in a
    terminal ends it, too.
    """

    def __init__(
        self, kind: str, settings: Mapping[str, str], log: Path, *, commands: Mapping[str, str] = COMMANDS
    ) -> None:
        self.name = log.stem
        self.settings = settings
        self.url = f"http://127.0.0.1:{settings.get('PORT')}"  # of a web process
        self.status_url = f"http://127.0.0.1:{settings.get('METRICS_PORT')}"  # of a worker
        self._log = log
        self._family: set[psutil.Process] = set()
        with log.open("wb") as output:
            self._popen = subprocess.Popen(
                ["/bin/sh", "-c", f"exec {commands[kind]}"],
                cwd=ROOT,
                env=environment(settings),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def output(self) -> str:
        """All output of the process so far."""
        return self._log.read_text(errors="replace")

    @property
    def running(self) -> bool:
        return self._popen.poll() is None

    def signal(self, number: signal.Signals) -> None:
        self._remember()
        self._popen.send_signal(number)

    def kill(self) -> None:
        """`kill -9`."""
        self.signal(signal.SIGKILL)
        self._popen.wait()

    def exit_code(self) -> int:
        """Waits for the end of the process. Negative for a signal."""
        return self._popen.wait(STOP_SECONDS)

    def ends(self) -> bool:
        """Whether the process ends within STOP_SECONDS. Kills it otherwise."""
        try:
            self.exit_code()
        except subprocess.TimeoutExpired:
            self.kill()
            return False
        return True

    def left_over(self) -> list[psutil.Process]:
        """The process and the descendants that it had at the last signal, those of them that still run after
        STOP_SECONDS. A guardian outlives a worker that was killed for as long as it executes the worker's last will.
        """
        give_up = time.monotonic() + STOP_SECONDS
        while (left := [process for process in self._family if runs(process)]) and time.monotonic() < give_up:
            time.sleep(LOOK_SECONDS)
        return left

    def _remember(self) -> None:
        """Notes the descendants now: once a process is gone, its children cannot be found any more."""
        if self.running:
            head = psutil.Process(self.pid)
            self._family.update([head, *head.children(recursive=True)])


def runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
