"""The guardian: a process beside each worker that does what the worker cannot do when it is killed outright. It ends
the worker's commands, and gives the worker's leases back. `make run` has one as well (`local/processes.py`), which ends
the API and the worker in its place.

A worker that is killed leaves its commands behind. They would go on, unseen, while their run counts as lost or is
executed again; and the clients of its runs would learn of it only when the leases are over. The guardian's stdin is a
pipe whose other end the worker holds: it ends when the worker is gone, however the worker ended. Through it the worker
also tells which leases it holds. The guardian has a session of its own, so that signals to the worker's group do not
reach it, and it ignores requests to stop: it ends after the worker.

Other workers on the machine end such commands as well (`worker/agents/command/orphans.py`), some seconds later. Neither
is enough alone: there may be no other worker, and `killall -9 python` ends a guardian with its worker, but not the
commands. For a machine that vanishes, the leases remain.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

READY = b"ready\n"  # from here on the guardian ignores signals
FAREWELL = b"all have ended"  # written by a worker that needs no guardian any more

HOLD, DROP, LEDGER = b"+", b"-", b"="  # begin a line of the worker


@dataclass(frozen=True)
class LedgerPlace:
    url: str
    namespace: str


# --- the worker's half ------------------------------------------------------------------------------------------------


class Guardian:
    """The worker's end of the pipe. Writing never waits: a guardian that does not read knows less, and that is all."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor

    def ledger(self, place: LedgerPlace) -> None:
        """Through the pipe, and not in the command line: the URL may have a password."""
        self._write(LEDGER + json.dumps([place.url, place.namespace]).encode())

    def hold(self, run_id: str, token: str) -> None:
        self._write(HOLD + f"{run_id} {token}".encode())

    def drop(self, run_id: str) -> None:
        self._write(DROP + run_id.encode())

    def _write(self, line: bytes) -> None:
        with suppress(OSError):  # no room, or the guardian is gone; a line of less than PIPE_BUF is written whole
            os.write(self._descriptor, line + b"\n")


@contextmanager
def with_guardian(mark: str, ledger: LedgerPlace | None = None) -> Iterator[Guardian]:
    """Commands whose mark begins with `mark` do not outlive this process, nor do leases of which the guardian was told.
    Nor does the guardian."""
    # Not the worker's own stdout and stderr: a reader of those waits until every process has closed them.
    process = subprocess.Popen(
        [sys.executable, "-m", __spec__.name, mark],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdin is not None
    farewell = b""
    try:
        _wait_for(process)
        guardian = Guardian(process.stdin.fileno())
        if ledger is not None:
            guardian.ledger(ledger)
        yield guardian
        farewell = FAREWELL
    finally:
        process.communicate(farewell)


def _wait_for(guardian: subprocess.Popen[bytes]) -> None:
    assert guardian.stdout is not None
    if guardian.stdout.readline() != READY:
        raise RuntimeError(f"the guardian ended at its start with code {guardian.wait()}")


# --- the guardian's half ----------------------------------------------------------------------------------------------


class Watched:
    """What the worker has told. Pure."""

    def __init__(self) -> None:
        self.leases: dict[str, str] = {}
        self.ledger = LedgerPlace("", "")
        self.at_peace = False  # the worker has said that it needs no guardian

    def hear(self, line: bytes) -> None:
        kind, rest = line[:1], line[1:].decode(errors="replace").strip()
        if line == FAREWELL:
            self.at_peace = True
        elif kind == HOLD:
            run_id, _, token = rest.partition(" ")
            self.leases[run_id] = token
        elif kind == DROP:
            self.leases.pop(rest, None)
        elif kind == LEDGER:
            self.ledger = LedgerPlace(*json.loads(rest))


def watch(lines: Iterable[bytes], get_ready: Callable[[], object]) -> Watched:
    """Hears all that the worker tells, until it is gone. Gets ready when the worker first has something to lose."""
    watched, ready = Watched(), False
    for line in lines:
        watched.hear(line)
        if watched.leases and not ready:
            get_ready()
            ready = True
    return watched


def main(mark: str) -> None:
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    sys.stdout.buffer.write(READY)
    sys.stdout.flush()
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    watched = watch(sys.stdin.buffer, get_ready=_will)
    if not watched.at_peace:
        _will().execute(mark, watched.leases, watched.ledger.url, watched.ledger.namespace)


def _will() -> ModuleType:
    """Imports what takes 40 MB and a second: not for a worker that is idle, and not only when each second counts."""
    return import_module("worker.last_will")


if __name__ == "__main__":
    main(sys.argv[1])
