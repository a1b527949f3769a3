from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from tests.worker.agents.asking import gone, until
from worker.guardian import FAREWELL, Guardian, LedgerPlace, watch

pytestmark = pytest.mark.slow

# In one write: two processes share the pipe.
STAY = "import os, time; os.write(1, b'%d\\n' % os.getpid()); time.sleep(600)"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {STAY}"

# A worker with one command, which has started a process in a session of its own. Its stdin decides how it ends.
WORKER = """
import os, subprocess, sys
from worker.agents.command.process_family import MARK
from worker.guardian import with_guardian
_, mark, command = sys.argv
with with_guardian(mark):
    subprocess.Popen([sys.executable, "-c", command], env={**os.environ, MARK: mark + "1"}, start_new_session=True)
    if sys.stdin.readline() == "crash":
        raise RuntimeError
"""


def command(offspring: str) -> str:
    start = f"subprocess.Popen([sys.executable, '-c', {offspring!r}], start_new_session=True)"
    return f"import subprocess, sys; {start}; {STAY}"


class Worker:
    def __init__(self, offspring: str) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-c", WORKER, f"test-{uuid4().hex}-", command(offspring)],  # a mark that no worker sweeps
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        assert self.popen.stdin is not None
        assert self.popen.stdout is not None
        self._stdin, self._stdout = self.popen.stdin, self.popen.stdout
        self.commands = [int(self._stdout.readline()) for _ in range(2)]
        children = psutil.Process(self.popen.pid).children()
        self.guardian = next(child for child in children if "worker.guardian" in child.cmdline())

    def end(self, line: str = "") -> int:
        """Ends the worker and returns its exit code."""
        self._stdin.write(line)
        self._stdin.close()
        return self.popen.wait()

    def kill(self) -> None:
        self.popen.kill()
        self.popen.wait()

    def all_gone(self) -> bool:
        return gone(self.guardian.pid, *self.commands)

    def clean(self) -> None:
        self.kill()
        for pid in (self.guardian.pid, *self.commands):
            if not gone(pid):
                os.kill(pid, signal.SIGKILL)
        self._stdout.close()
        self._stdin.close()


@contextmanager
def started(offspring: str = STAY) -> Iterator[Worker]:
    worker = Worker(offspring)
    try:
        yield worker
    finally:
        worker.clean()


@pytest.fixture
def worker() -> Iterator[Worker]:
    with started() as worker:
        yield worker


async def test_a_killed_worker_leaves_nothing_behind(worker: Worker) -> None:
    """The guardian also ends a process that has left the group, and then ends itself."""
    worker.kill()
    await until(worker.all_gone)


async def test_who_is_deaf_to_being_asked_is_killed() -> None:
    with started(DEAF) as worker:
        worker.kill()
        await until(worker.all_gone)


async def test_the_commands_of_another_worker_are_left_alone(worker: Worker) -> None:
    with started() as other:
        worker.kill()
        await until(worker.all_gone)
        assert not any(gone(pid) for pid in (other.guardian.pid, *other.commands))


async def test_a_worker_that_crashes_leaves_nothing_behind(worker: Worker) -> None:
    assert worker.end("crash") == 1
    assert worker.all_gone()


def test_with_a_worker_that_has_ended_the_guardian_ends_at_once(worker: Worker) -> None:
    """It searches for no command: such a worker has ended its commands itself. The worker of this test has not."""
    assert worker.end() == 0
    assert gone(worker.guardian.pid)
    assert not gone(*worker.commands)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_it_outlives_what_is_sent_to_the_group_and_to_itself(worker: Worker, number: signal.Signals) -> None:
    worker.guardian.send_signal(number)
    os.killpg(worker.popen.pid, signal.SIGKILL)
    await until(worker.all_gone)


@pytest.mark.skipif(not psutil.LINUX, reason="looks into /proc")
def test_it_has_nothing_of_the_workers_open(worker: Worker) -> None:
    """It holds neither the worker's connections nor the pipes of the worker's output."""
    files = [Path(f"/proc/{worker.guardian.pid}/fd/{number}").readlink() for number in (1, 2)]
    assert files == [Path(os.devnull), Path(os.devnull)]
    assert (worker.guardian.num_fds(), worker.guardian.net_connections()) == (3, [])


# --- what the guardian hears ------------------------------------------------------------------------------------------


def test_it_knows_the_leases_that_its_worker_holds() -> None:
    lines = (b'=["redis://:secret@host", "ns"]', b"+r1 w/1", b"+r2 w/1", b"-r1", b"+r2 w/2", b"-r9")
    watched = watch((line + b"\n" for line in lines), list)
    assert watched.leases == {"r2": "w/2"}
    assert watched.ledger == LedgerPlace("redis://:secret@host", "ns")
    assert not watched.at_peace


def test_a_line_that_was_cut_off_or_made_up_does_no_harm() -> None:
    assert watch([b"+r1 w/1\n", b"\xff\xff\n", b"\n", b"+r2"], list).leases["r1"] == "w/1"


def test_a_farewell_leaves_nothing_to_do() -> None:
    assert watch([b"+r1 w/1\n", FAREWELL], list).at_peace


def test_telling_a_guardian_that_does_not_listen_never_waits() -> None:
    reading, writing = os.pipe()
    try:
        guardian = Guardian(writing)
        for number in range(10_000):
            guardian.hold(f"chatcmpl_{number}", "w/1")
        os.close(reading)
        guardian.drop("chatcmpl_1")
    finally:
        os.close(writing)
