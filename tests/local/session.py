"""One `python -m local`, as `make run` starts it, in a folder of its own."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil

from tests.e2e.process import ROOT, environment
from tests.e2e.waiting import until
from tests.ports import free_port

COMMAND = [sys.executable, "-m", "local"]
READY = "Ctrl-C stops it."
STOP_SECONDS = 30.0  # longer than any stop takes
REAL = (ROOT / "Procfile").read_text()


def stand_in(worker: str = "worker", web: str = "web") -> str:
    """A Procfile whose processes do what a test needs (tests/local/stand_in.py)."""
    program = shlex.quote(str(Path(__file__).with_name("stand_in.py")))
    return f"web: python {program} {web}\nworker: python {program} {worker}\n"


def settings(given: Mapping[str, str]) -> dict[str, str]:
    """The PATH hides the CLIs of the machine: the worker would serve them as agents."""
    return environment({"PYTHONPATH": str(ROOT), "PORT": str(free_port()), "PATH": "/nowhere", **given})


def refused(folder: Path, **given: str) -> str:
    """The one line that a start prints when it fails at once."""
    done = subprocess.run(COMMAND, cwd=folder, env=settings(given), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


class Session:
    """The constructor starts it, in a process group of its own, as a terminal does."""

    def __init__(self, folder: Path, procfile: str, given: Mapping[str, str]) -> None:
        self.folder = folder
        (folder / "Procfile").write_text(procfile)
        self._log = folder / "output.log"
        own = settings(given)
        self.url = f"http://127.0.0.1:{own['PORT']}"
        with self._log.open("wb") as output:
            self._popen = subprocess.Popen(
                COMMAND,
                cwd=folder,
                env=own,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._seen: set[psutil.Process] = set()

    @property
    def output(self) -> str:
        """All that it has printed so far."""
        return self._log.read_text()

    @property
    def running(self) -> bool:
        return self._popen.poll() is None

    def ready(self) -> Session:
        until(lambda: READY in self.output or not self.running)
        assert self.running, self.output
        self.look()
        return self

    def look(self) -> set[psutil.Process]:
        """All its processes, with those that an earlier call found."""
        if self.running:
            self._seen.update(psutil.Process(self._popen.pid).children(recursive=True))
        return self._seen

    def process(self, end: str) -> psutil.Process:
        """The process whose command line has this end, not the shell that started it."""
        return until(lambda: self._with_command(end))[
            0
        ]  # a process that has just been forked has its own a moment later

    def _with_command(self, end: str) -> list[psutil.Process]:
        commands = {seen: seen.cmdline() for seen in self.look() if runs(seen)}
        fitting = [seen for seen, words in commands.items() if " ".join(words).endswith(end) and "-c" not in words]
        assert len(fitting) < 2, commands.values()
        return fitting

    def valkey(self) -> psutil.Process:
        return next(seen for seen in self.look() if runs(seen) and "valkey" in seen.name())

    def press_ctrl_c(self) -> None:
        self.look()
        os.killpg(self._popen.pid, signal.SIGINT)

    def send(self, number: signal.Signals) -> None:
        """Sends the signal to `python -m local` alone."""
        self.look()
        self._popen.send_signal(number)

    def exit_code(self) -> int:
        """Waits until it has ended."""
        return self._popen.wait(STOP_SECONDS)

    def left_over(self) -> list[psutil.Process]:
        return [seen for seen in self._seen if runs(seen)]

    def end(self) -> None:
        """Ends it in any state. Only a failed test leaves processes to kill."""
        if self.running:
            self.send(signal.SIGTERM)
            try:
                self.exit_code()
            except subprocess.TimeoutExpired:
                self._popen.kill()
                self._popen.wait()
        for process in self.left_over():
            process.kill()


def runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
