"""One process of the service, as a line of the Procfile starts it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil
from honcho.environ import parse_procfile

ROOT = Path(__file__).parents[2]
COMMANDS: Mapping[str, str] = parse_procfile((ROOT / "Procfile").read_text()).processes

STOP_SECONDS = 30.0  # longer than any drain in these tests

# Of the environment of the tests. What developers have set for a service of their own must not be in it.
_KEPT = ("HOME", "LANG", "LC_ALL", "TMPDIR")


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """`python` is the one that runs the tests."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"
    return {**kept, "PATH": path, "PYTHONUNBUFFERED": "1", **settings}


class Process:
    """Started by the constructor, in the process group of the tests: what ends them in a terminal ends it, too."""

    def __init__(
        self, kind: str, settings: Mapping[str, str], log: Path, *, commands: Mapping[str, str] = COMMANDS
    ) -> None:
        self.name = log.stem
        self.url = f"http://127.0.0.1:{settings.get('PORT')}"  # of a web process
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
    def said(self) -> str:
        """All of its output so far."""
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
        """Waits for its end; negative for a signal."""
        return self._popen.wait(STOP_SECONDS)

    def ends(self) -> bool:
        """Waits for its end, then kills it."""
        try:
            self.exit_code()
        except subprocess.TimeoutExpired:
            self.kill()
            return False
        return True

    def left_over(self) -> list[psutil.Process]:
        """Itself and what it had started when it was last sent a signal, as far as they run."""
        return [process for process in self._family if runs(process)]

    def _remember(self) -> None:
        """Once a process is gone nobody can tell whose children were its own."""
        if self.running:
            head = psutil.Process(self.pid)
            self._family.update([head, *head.children(recursive=True)])


def runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
