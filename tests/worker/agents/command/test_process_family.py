from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

import psutil
import pytest

from tests.worker.agents.asking import gone, until
from worker.agents.command.process_family import MARK, ProcessFamily, end_family

pytestmark = pytest.mark.slow

# Each process prints its pid when it is ready, and stays.
STAY = "import os, signal, sys, time; print(os.getpid(), flush=True); time.sleep(600)"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {STAY}"


def parent(of: str, *, own_session: bool, stays: bool = True, environment: str = "None") -> str:
    """A program that starts another one, which inherits stdout."""
    start = f"subprocess.Popen([sys.executable, '-c', {of!r}], start_new_session={own_session}, env={environment})"
    return f"import subprocess, sys; {start}; {STAY if stays else ''}"


class Started:
    """The leader of a group, and the pids that its family printed."""

    def __init__(self, source: str, pids: int, mark: str) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-c", source],
            stdout=subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, MARK: mark},
        )
        self.family = ProcessFamily.of(self.popen.pid, mark)
        assert self.popen.stdout is not None
        self.pids = [int(self.popen.stdout.readline()) for _ in range(pids)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pid in self.pids:
            if not gone(pid):
                os.kill(pid, 9)
        assert self.popen.stdout is not None
        self.popen.stdout.close()
        self.popen.wait()


def pids(family: ProcessFamily) -> set[int]:
    return {process.pid for process in family.members()}


@contextmanager
def started(source: str, *, pids: int = 1) -> Iterator[Started]:
    with Started(source, pids, mark=f"test-{os.getpid()}-{os.urandom(4).hex()}") as it:
        yield it


@pytest.mark.parametrize(
    "source",
    [
        parent(STAY, own_session=False),
        parent(STAY, own_session=True),
        parent(STAY, own_session=True, environment="{}"),
    ],
    ids=["in the group", "in its own session", "in its own session without the mark"],
)
def test_descendants_belong_to_the_family(source: str) -> None:
    with started(source, pids=2) as it:
        assert pids(it.family) == set(it.pids)


@pytest.mark.parametrize(
    "source",
    [
        parent(STAY, own_session=False, stays=False, environment="{}"),
        parent(STAY, own_session=True, stays=False),
    ],
    ids=["by the group", "by the mark"],
)
def test_orphans_belong_to_the_family(source: str) -> None:
    with started(source) as it:
        it.popen.wait()
        assert pids(it.family) == set(it.pids)


def test_an_orphan_that_dropped_group_and_mark_is_lost() -> None:
    """The module's docstring names this limit. A developer who lifts it has to change the docstring and this test."""
    with started(parent(STAY, own_session=True, stays=False, environment="{}")) as it:
        it.popen.wait()
        assert pids(it.family) == set()


def test_nobody_else_belongs_to_the_family() -> None:
    with started(STAY) as it, started(STAY) as other:
        assert pids(it.family) == set(it.pids)
        assert pids(other.family) == set(other.pids)


async def test_a_zombie_is_no_member() -> None:
    """Only its parent can remove it: if the parent never does, waiting for it would last for ever."""
    with started("import os; print(os.getpid(), flush=True)") as it:
        await until(lambda: psutil.Process(it.popen.pid).status() == psutil.STATUS_ZOMBIE)
        assert pids(it.family) == set()


async def test_ending_asks_first() -> None:
    polite = (
        "import os, signal, sys, time\n"
        "def bye(*_): print('bye', flush=True); sys.exit()\n"
        "signal.signal(signal.SIGTERM, bye)\n"
        "print(os.getpid(), flush=True); time.sleep(600)"
    )
    with started(polite) as it:
        await end_family(it.family, grace=20)
        assert gone(*it.pids)
        assert it.popen.stdout is not None
        assert it.popen.stdout.read() == b"bye\n"


async def test_ending_kills_whom_asking_does_not_move() -> None:
    with started(parent(DEAF, own_session=True), pids=2) as it:
        await end_family(it.family, grace=0.2)
        assert gone(*it.pids)


async def test_ending_finds_what_was_started_meanwhile() -> None:
    """For example a program may start another process when it gets SIGTERM."""
    heir = parent(DEAF, own_session=True, stays=False)
    source = (
        "import os, signal, subprocess, sys, time\n"
        f"def last_will(*_): subprocess.Popen([sys.executable, '-c', {heir!r}]).wait(); os._exit(0)\n"
        "signal.signal(signal.SIGTERM, last_will)\n"
        "print(os.getpid(), flush=True); time.sleep(600)"
    )
    with started(source) as it:
        await end_family(it.family, grace=1)
        assert it.popen.stdout is not None
        heirs = [int(line) for line in it.popen.stdout]  # ends when no process holds it
        assert gone(*it.pids, *heirs)


async def test_a_family_that_is_gone_is_no_error() -> None:
    with started("import os; print(os.getpid(), flush=True)") as it:
        it.popen.wait()
        await end_family(it.family, grace=20)
        await end_family(ProcessFamily.of(it.popen.pid, "never"), grace=20)


async def test_stopped_processes_are_ended_too() -> None:
    with started(STAY) as it:
        os.kill(it.pids[0], 19)
        await until(lambda: psutil.Process(it.pids[0]).status() == psutil.STATUS_STOPPED)
        await end_family(it.family, grace=0.2)
        assert gone(*it.pids)
