"""Ends the processes of a run: all of them, not only the one that the agent started.

The family consists of the members of the process group, the descendants of its first process, and every process with
the run's mark in its environment. So the worker finds a grandchild that made a session of its own (`setsid`) by its
parents while they live, and by its mark afterwards. It does not find a process that did three things: left the group,
outlived its parents, and dropped or hid its environment (`env -i`, another user). Nor can it end a process of another
user, unless the worker is root.
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
GRACE_SECONDS = 5.0  # between SIGTERM and SIGKILL
KILL_SECONDS = 2.0  # the worker gives up on a killed process that still lives after this time

NO_GROUP = -1  # of a family that is known by its mark alone

_POLL_SECONDS = 0.02  # a process can wait only for its own children; it polls all others


@dataclass(frozen=True)
class ProcessFamily:
    """The processes that one start of a command led to. `leader` is None if it ended before the worker saw it."""

    group: int
    leader: psutil.Process | None
    mark: str

    @classmethod
    def of(cls, pid: int, mark: str) -> ProcessFamily:
        """The family of a process that was just started as the leader of a group."""
        return cls(pid, _process(pid), mark)

    def members(self) -> list[psutil.Process]:
        """The members alive now. Checks every process of the machine."""
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
    """Ends a family. It is a seam: a container or another machine may need another way."""

    async def __call__(self, family: ProcessFamily, *, grace: float) -> None: ...


async def end_family(family: ProcessFamily, *, grace: float) -> None:
    """Sends SIGTERM to every process of the family, waits up to `grace` seconds, then kills the rest.

    Searches again after each round, for processes that were started meanwhile. It signals single processes, because
    psutil then makes sure that the pid does not belong to a newer process. Survivors, which belong to another user or
    hang in the kernel, are logged and left.
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
        # psutil would parse it: a hundred processes would block the event loop for 14 ms instead of 2.
        return Path(f"/proc/{pid}/environ").read_bytes()
    with suppress(psutil.Error):
        variables = psutil.Process(pid).environ().items()
        return "\0".join(f"{name}={value}" for name, value in variables).encode()
    return b""


def _process(pid: int) -> psutil.Process | None:
    # Not from psutil.process_iter: it caches its objects, and an old one will not signal a newer process with its pid.
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
    # Not psutil's wait: it would take the exit code of the worker's own child away from the event loop.
    while any(_alive(process) for process in members):  # noqa: ASYNC110 - no event reports the end of these processes
        await sleep(_POLL_SECONDS)
