from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import anyio
import pytest

from shared.observe.supervision import Beat
from tests.worker.agents.asking import gone, until
from worker.agents.command.orphans import new_mark, orphaned, sweep_forever
from worker.agents.command.process_family import MARK

pytestmark = pytest.mark.slow

STAY = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"

# A worker that starts a command, which starts a process in a session of its own.
WORKER = f"""
import os, subprocess, sys, time
from worker.agents.command.orphans import new_mark
mark = new_mark()
print(mark, flush=True)
command = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', {STAY!r}], start_new_session=True); {STAY}"
subprocess.Popen([sys.executable, '-c', command], env={{**os.environ, {MARK!r}: mark}}, start_new_session=True)
time.sleep(600)
"""


class Worker:
    def __init__(self) -> None:
        self._popen = subprocess.Popen([sys.executable, "-c", WORKER], stdout=subprocess.PIPE, text=True)
        assert self._popen.stdout is not None
        self.mark, *pids = [self._popen.stdout.readline().strip() for _ in range(3)]
        self.pids = [int(pid) for pid in pids]

    def kill(self) -> None:
        self._popen.kill()
        self._popen.wait()

    def clean(self) -> None:
        self.kill()
        for pid in self.pids:
            if not gone(pid):
                os.kill(pid, 9)
        assert self._popen.stdout is not None
        self._popen.stdout.close()


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.clean()


async def test_what_a_killed_worker_has_left_is_ended(worker: Worker) -> None:
    worker.kill()
    async with anyio.create_task_group() as sweeping:
        sweeping.start_soon(sweep_forever, Beat())
        await until(lambda: all(map(gone, worker.pids)))
        sweeping.cancel_scope.cancel()


async def test_what_belongs_to_a_living_worker_is_left_alone(worker: Worker) -> None:
    assert worker.mark not in orphaned()


def test_each_start_has_a_mark_of_its_own() -> None:
    assert new_mark() != new_mark()


# Any process of the machine may have any environment.
ODD = (
    b"9" * 5_000 + b"-1-x",
    b"1-" + b"9" * 5_000 + b"-x",
    b"9999999999-999999999999-x",
    b"\xff\xfe",
    b"",
    b"1-1-" + b"x" * 9_999,
)


@pytest.mark.parametrize("value", ODD, ids=lambda value: repr(value[:12]))
def test_an_odd_environment_of_another_process_is_no_mark_and_no_error(value: bytes, worker: Worker) -> None:
    with subprocess.Popen(["sleep", "600"], env={MARK.encode(): value, b"PATH": os.environb[b"PATH"]}) as other:
        try:
            assert worker.mark not in orphaned()
        finally:
            other.kill()
