"""The guardian: a process beside each worker that ends the worker's commands when the worker cannot. `make run` has one
as well (`local/processes.py`), which ends the API and the worker in its place.

A worker that is killed outright leaves its commands behind. They would go on, unseen, while their run counts as lost or
is executed again. The worker itself cannot prevent that, so another process has to notice. The guardian's stdin is a
pipe whose other end the worker holds: it ends when the worker is gone, however the worker ended. The guardian has a
session of its own, so that signals to the worker's group do not reach it, and it ignores requests to stop: it ends
after the worker.

Other workers on the machine end such commands as well (`orphans.py`), some seconds later. Neither is enough
alone: there may be no other worker, and `killall -9 python` ends a guardian with its worker, but not the commands.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

READY = b"ready\n"  # from here on the guardian ignores signals
FAREWELL = b"all have ended"  # written by a worker that needs no guardian any more


# --- the worker's half ------------------------------------------------------------------------------------------------


@contextmanager
def with_guardian(mark: str) -> Iterator[None]:
    """Commands whose mark begins with `mark` do not outlive this process. Nor does the guardian."""
    # Not the worker's own stdout and stderr: a reader of those waits until every process has closed them.
    guardian = subprocess.Popen(
        [sys.executable, "-m", __spec__.name, mark],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    farewell = b""
    try:
        _wait_for(guardian)
        yield
        farewell = FAREWELL
    finally:
        guardian.communicate(farewell)


def _wait_for(guardian: subprocess.Popen[bytes]) -> None:
    assert guardian.stdout is not None
    if guardian.stdout.readline() != READY:
        raise RuntimeError(f"the guardian ended at its start with code {guardian.wait()}")


# --- the guardian's half ----------------------------------------------------------------------------------------------


def main(mark: str) -> None:
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    sys.stdout.buffer.write(READY)
    sys.stdout.flush()
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    if sys.stdin.buffer.read() != FAREWELL:
        _end(mark)


def _end(mark: str) -> None:
    # Only now: these take 20 MB, and nearly every guardian ends without a use for them.
    from functools import partial

    import anyio

    from worker.agents.command.process_family import GRACE_SECONDS, NO_GROUP, ProcessFamily, end_family

    anyio.run(partial(end_family, ProcessFamily(NO_GROUP, None, mark), grace=GRACE_SECONDS))


if __name__ == "__main__":
    main(sys.argv[1])
