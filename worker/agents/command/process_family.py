"""Ending the processes of a run: all of them, not only the one that was started.

Found are the members of the process group, the descendants of its first process, and whoever carries the
run's mark in its environment. So a grandchild that made a session of its own (`setsid`) is found by its
parents while they live, and by its mark afterwards. Not found is one that did three things: left the group,
outlived its parents, and dropped or hid its environment (`env -i`, another user). Nor can a process of
another user be ended, unless we are root.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil
import structlog
from anyio import move_on_after, sleep, to_thread

logger = structlog.get_logger()

MARK = "RUNRELAY_PROCESS"  # environment variable; its value is unique for each start of a command
GRACE_SECONDS = 5.0  # between asking a process to end and killing it
KILL_SECONDS = 2.0  # a killed process that is still there after this cannot be ended by us

NO_GROUP = -1  # of a family that is known by its mark alone

_POLL_SECONDS = 0.02  # others' children cannot be waited for, only looked at


@dataclass(frozen=True)
class ProcessFamily:
    """The processes that one start of a command led to. `leader` is None if it was gone before we looked."""

    group: int
    leader: psutil.Process | None
    mark: str

    @classmethod
    def of(cls, pid: int, mark: str) -> ProcessFamily:
        """The family of a process that was just started as the leader of a group."""
        return cls(pid, _process(pid), mark)

    def members(self) -> list[psutil.Process]:
        """Those alive now. Looks at every process of the machine."""
        descendants = self._descendants()
        pids = [pid for pid in psutil.pids() if pid in descendants or self._holds(pid)]
        return [process for process in map(_process, pids) if process is not None and _alive(process)]

    def _descendants(self) -> set[int]:
        with suppress(psutil.Error):
            if self.leader is not None and self.leader.is_running():
                return {process.pid for process in self.leader.children(recursive=True)}
        return set()

    def _holds(self, pid: int) -> bool:
        with suppress(OSError):
            return os.getpgid(pid) == self.group or f"{MARK}={self.mark}".encode() in environment(pid)
        return False


class EndFamily(Protocol):
    """Ends a family. A seam: a container or another machine may want another way."""

    async def __call__(self, family: ProcessFamily, *, grace: float) -> None: ...


async def end_family(family: ProcessFamily, *, grace: float) -> None:
    """Asks every process of the family to end, waits up to `grace` seconds, then kills.

    Looks again after each round, for what was started meanwhile. Signals go to single processes, because
    psutil then makes sure that a pid was not given to somebody else. Survivors, which belong to another user
    or hang in the kernel, are logged and left.
    """
    for sign, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, KILL_SECONDS)):
        with move_on_after(seconds):
            while members := await to_thread.run_sync(family.members):
                _send(sign, members)
                await _gone(members)
            return
    logger.error("processes.left", pids=[process.pid for process in members])


def environment(pid: int) -> bytes:
    if psutil.LINUX:
        # psutil would parse it: for a hundred processes 14 ms instead of 2, in which the event loop has to wait.
        return Path(f"/proc/{pid}/environ").read_bytes()
    with suppress(psutil.Error):
        variables = psutil.Process(pid).environ().items()
        return "\0".join(f"{name}={value}" for name, value in variables).encode()
    return b""


def _process(pid: int) -> psutil.Process | None:
    # Not from psutil.process_iter: it keeps its objects, and will not signal one whose pid is a newer process's.
    with suppress(psutil.Error):
        return psutil.Process(pid)
    return None


def _alive(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _send(sign: signal.Signals, members: Iterable[psutil.Process]) -> None:
    for process in members:
        with suppress(psutil.Error):
            process.send_signal(sign)


async def _gone(members: Iterable[psutil.Process]) -> None:
    # Not psutil's wait: of a child of ours it would take the exit code away from the event loop.
    while any(_alive(process) for process in members):  # noqa: ASYNC110 - nobody sets an event for others' children
        await sleep(_POLL_SECONDS)
