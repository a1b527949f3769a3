"""The processes of the Procfile: started, asked to stop, and killed with all that they have started.

They carry a mark in their environment. By it they and their offspring are found, as the commands of a worker are; also
by the guardian of this session, when `python -m local` is killed outright. The commands of a worker carry marks of
their own instead: those of a worker that was killed are found as any worker finds them.
"""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from uuid import uuid4

import anyio

from local.terminal import tell
from worker.agents.command.guardian import with_guardian
from worker.agents.command.orphans import orphaned
from worker.agents.command.process_family import MARK, NO_GROUP, ProcessFamily, end_family

PATIENCE_SECONDS = 7.0  # between asking and killing: a drain of DRAIN_SECONDS, and time for the agents to end
OUTPUT_SECONDS = 1.0  # then it is left: what cannot be killed may hold it open
TICK_SECONDS = 0.01
LINE = re.compile(r"^([\w-]+):\s*(.+)$", re.MULTILINE)
COLOURS = {"web": 36, "worker": 33}  # of ANSI terminals


class Process(subprocess.Popen[bytes]):
    """A line of the Procfile, in a session of its own, which Ctrl-C does not reach. What it says is told."""

    def __init__(self, name: str, command: str, environment: Mapping[str, str]) -> None:
        self.name = name
        # It holds the end that is read here, too: what it logs after this process was killed must not fail.
        output, its_end = os.pipe()
        super().__init__(
            ["/bin/sh", "-c", command],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=its_end,
            stderr=its_end,
            pass_fds=[output],
            start_new_session=True,
        )
        os.close(its_end)
        say("system", f"{name} started (pid={self.pid})")
        self.relay = threading.Thread(target=self._relay, args=(output,), name=name, daemon=True)
        self.relay.start()

    def _relay(self, output: int) -> None:
        with open(output, "rb") as lines:
            for line in lines:
                say(self.name, line.decode(errors="replace").rstrip())
        say("system", f"{self.name} stopped (rc={self.wait()})")

    def ask_to_stop(self) -> None:
        """Not its agents, which have groups of their own: a worker hands their runs back."""
        say("system", f"sending SIGTERM to {self.name} (pid {self.pid})")
        with suppress(ProcessLookupError, PermissionError):  # the latter is what macOS says of a zombie's group
            os.killpg(self.pid, signal.SIGTERM)


@contextmanager
def running(environment: Mapping[str, str], requests: Sequence[int]) -> Iterator[Sequence[Process]]:
    """The processes of ./Procfile. After the block none of them is left, nor what they have started."""
    mark = f"local-{uuid4().hex}"
    own = {**environment, MARK: mark}
    with with_guardian(mark):
        processes = [Process(name, command, own) for name, command in LINE.findall(Path("Procfile").read_text())]
        try:
            yield processes
        finally:
            _stop(processes, requests)
            anyio.run(_kill, [ProcessFamily.of(process.pid, mark) for process in processes])
            for process in processes:
                process.relay.join(OUTPUT_SECONDS)


def _stop(processes: Sequence[Process], requests: Sequence[int]) -> None:
    """Until those that run have ended, or time is up, or the person asks again."""
    asked = [process for process in processes if process.poll() is None]
    for process in asked:
        process.ask_to_stop()
    deadline = time.monotonic() + PATIENCE_SECONDS
    # Their output ends with them. The shell, which was asked as well, is gone before what it runs.
    while (late := [process.name for process in asked if process.relay.is_alive()]) and len(requests) < 2:
        if time.monotonic() > deadline:
            say("system", f"sending SIGKILL to {' and '.join(late)}")
            return
        time.sleep(TICK_SECONDS)


async def _kill(families: Sequence[ProcessFamily]) -> None:
    for family in families:
        await end_family(family, grace=0)
    for mark in orphaned():
        await end_family(ProcessFamily(NO_GROUP, None, mark), grace=0)


def say(name: str, text: str) -> None:
    """A line of output, with its time and where it comes from."""
    head = f"{datetime.now():%H:%M:%S} {name:6} | "
    if name in COLOURS and sys.stdout.isatty():
        head = f"\033[{COLOURS[name]}m{head}\033[0m"
    tell(head + text)
