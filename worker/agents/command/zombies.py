"""Reaps the processes that agents leave behind, in a worker that is process 1 of its container.

Process 1 inherits every process whose parent has ended, and nothing else reaps those. The children that this process
started itself are reaped by who waits for them, within milliseconds; so a child that has stayed a zombie between two
looks is an inherited one.
"""

from __future__ import annotations

import os
from contextlib import suppress

import psutil

from shared.observe.supervision import Beat

LOOK_SECONDS = 5.0


async def reap_forever(beat: Beat) -> None:
    before: set[int] = set()
    while True:
        await beat.sleep(LOOK_SECONDS)
        zombies = _zombies()
        for pid in zombies & before:
            _reap(pid)
        before = zombies - before


def _reap(pid: int) -> None:
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _zombies() -> set[int]:
    found = set[int]()
    for child in psutil.Process().children():
        with suppress(psutil.Error):
            if child.status() == psutil.STATUS_ZOMBIE:
                found.add(child.pid)
    return found


def inherits() -> bool:
    return os.getpid() == 1
