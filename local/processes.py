"""The processes of the Procfile: started, stopped, and killed with all that they have started.

They and their offspring carry a mark in their environment. `running` ends all that carry it; so does the guardian when
`python -m local` is killed outright. The commands of a worker carry marks of their own instead: `orphaned` finds those
of a worker that was killed.
"""

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from uuid import uuid4

import anyio

from local.terminal import show
from worker.agents.command.orphans import orphaned
from worker.agents.command.process_family import MARK, NO_GROUP, ProcessFamily, end_family
from worker.guardian import with_guardian

PATIENCE_SECONDS = 7.0  # from SIGTERM to SIGKILL: a drain of DRAIN_SECONDS, and time for the agents to end
OUTPUT_SECONDS = 1.0  # for the last lines: a process that cannot be killed may hold the output open


class Process(subprocess.Popen[bytes]):
    """A line of the Procfile, in a session of its own, which Ctrl-C does not reach. A thread relays its output."""

    def __init__(self, name: str, command: str, environment: Mapping[str, str]) -> None:
        self.name = name
        output, its_end = os.pipe()
        super().__init__(
            ["/bin/sh", "-c", command],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=its_end,
            stderr=its_end,
            pass_fds=[output],  # it holds this end, too: its log lines must not fail when `local` was killed
            start_new_session=True,
        )
        os.close(its_end)
        _show("system", f"{name} started (pid={self.pid})")
        self.relay = threading.Thread(target=self._relay, args=(output,), name=name, daemon=True)
        self.relay.start()

    def _relay(self, output: int) -> None:
        with open(output, "rb") as lines:
            for line in lines:
                _show(self.name, line.decode(errors="replace").rstrip())
        _show("system", f"{self.name} stopped (rc={self.wait()})")


@contextmanager
def running(environment: Mapping[str, str], requests: Sequence[int]) -> Iterator[Sequence[Process]]:
    """Starts the processes of ./Procfile, and ends them and all that they have started after the block."""
    mark = f"local-{uuid4().hex}"
    lines = re.findall(r"^([\w-]+):\s*(.+)$", Path("Procfile").read_text(), re.MULTILINE)
    with with_guardian(mark):
        processes = [Process(name, command, {**environment, MARK: mark}) for name, command in lines]
        try:
            yield processes
        finally:
            _stop([process for process in processes if process.poll() is None], requests)
            anyio.run(_kill, [ProcessFamily.of(process.pid, mark) for process in processes])
            for process in processes:
                process.relay.join(OUTPUT_SECONDS)


def _stop(processes: Sequence[Process], requests: Sequence[int]) -> None:
    """Returns when they have ended, after PATIENCE_SECONDS, or at a second request to stop."""
    for process in processes:
        _show("system", f"sending SIGTERM to {process.name} (pid {process.pid})")
        # Not to a worker's commands, which have groups of their own: the worker hands their runs back.
        with suppress(ProcessLookupError, PermissionError):  # macOS raises the latter for the group of a zombie
            os.killpg(process.pid, signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE_SECONDS
    # A relay ends with all that holds the output. The shell, which gets the signal as well, may end before its command.
    while (late := [process.name for process in processes if process.relay.is_alive()]) and len(requests) < 2:
        if time.monotonic() > deadline:
            _show("system", f"sending SIGKILL to {' and '.join(late)}")
            return
        time.sleep(0.01)


async def _kill(families: Sequence[ProcessFamily]) -> None:
    for family in families:
        await end_family(family, grace=0)
    for mark in orphaned():
        await end_family(ProcessFamily(NO_GROUP, None, mark), grace=0)


def _show(name: str, line: str) -> None:
    show(f"{datetime.now():%H:%M:%S} {name:6} | {line}")
