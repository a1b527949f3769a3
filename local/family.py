"""All processes that descend from the runner of the Procfile."""

import os
import signal
import time
from contextlib import suppress

import psutil

KILL_SECONDS = 5.0  # a process in an uninterruptible wait cannot be killed before that is over
TICK_SECONDS = 0.01


class Family:
    """Remembers descendants, so that they can still be ended when what started them is gone.

    AT MOST what `look` has seen: a process started since then, by a parent that dies before the next call, is
    not known.

    A line of the Procfile is a shell, which the runner's child starts in a process group of its own, and what
    the shell runs. An agent is in another group: it belongs to the family and to no line.
    """

    def __init__(self, runner: int) -> None:
        self._runner = psutil.Process(runner)
        self._groups: dict[psutil.Process, int] = {}  # what was seen, and its process group
        self.lines: frozenset[int] = frozenset()  # process groups

    def look(self) -> None:
        """See who is there now."""
        descendants = _descendants(self._runner)
        seen = self._groups | {process: _group(process) for process in descendants}
        self._groups = {process: group for process, group in seen.items() if process.is_running()}
        children = {process.pid for process in descendants if _parent(process) == self._runner.pid}
        shells = {process.pid for process in descendants if _parent(process) in children}
        # A shell that was just forked is not in its own group yet: it counts from the next look on.
        self.lines |= shells & set(self._groups.values())

    def running_lines(self) -> frozenset[int]:
        """The lines of which a process is running, of those that were seen."""
        return self.lines & {group for process, group in self._groups.items() if not is_over(process)}

    def kill(self) -> None:
        """Kill them all. The runner is held still meanwhile, so that it starts no further ones."""
        with suppress(psutil.NoSuchProcess):
            self._runner.suspend()
        self.look()
        for group in set(self._groups.values()):
            # The whole group, for the shell that is just starting what it was told to.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
        self._wait()

    def _wait(self) -> None:
        """Until they are over. Whether their parent has taken note of it is not waited for: in some containers
        pid 1 never does.
        """
        deadline = time.monotonic() + KILL_SECONDS
        while not all(map(is_over, self._groups)) and time.monotonic() < deadline:
            time.sleep(TICK_SECONDS)


def is_over(process: psutil.Process) -> bool:
    """Whether it has ended, be it that its parent has not taken note of it yet."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _parent(process: psutil.Process) -> int | None:
    try:
        return process.ppid()
    except psutil.NoSuchProcess:
        return None


def _group(process: psutil.Process) -> int:
    try:
        return os.getpgid(process.pid)
    except ProcessLookupError:
        return process.pid
