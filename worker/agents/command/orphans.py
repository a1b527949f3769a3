"""Ends the commands that a dead worker's agents had started.

A worker that is killed outright cannot end its commands. Its guardian (`worker/guardian.py`) ends them at once, unless
the guardian was killed as well: `pkill -9 -f "python -m worker"`, for example, matches both of them and no command. The
commands would go on, unseen, while their run counts as lost or is executed again. So every worker searches its machine
for such processes, more often than the default lease lasts. Thus an operator who starts the workers again also ends the
old commands. A container takes its processes with it and needs none of this.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from uuid import uuid4

import psutil
import structlog
from anyio import to_thread

from shared.observe.supervision import Beat
from worker.agents.command.process_family import (
    GRACE_SECONDS,
    MARK,
    NO_GROUP,
    EndFamily,
    ProcessFamily,
    end_family,
    environment,
)

logger = structlog.get_logger()

SWEEP_SECONDS = 3.0

_STARTED_WITHIN = 5.0  # seconds; psutil computes a start from the time of boot, which moves when the clock is set
# Any process of the machine may have any environment: these bounds hold for every mark that a worker has made.
_MARKED = re.compile(rf"(?:^|\0){MARK}=((\d{{1,10}})-(\d{{1,12}})-\w{{1,40}})(?:\0|$)".encode())


def new_mark() -> str:
    """The mark of one start of a command. It names this worker, so that other workers can find out when it is gone."""
    return f"{worker_mark()}{uuid4().hex}"


def worker_mark() -> str:
    """The beginning of all marks of this worker."""
    return f"{os.getpid()}-{_start()}-"


@cache
def _start() -> int:
    return int(psutil.Process().create_time())


async def sweep_forever(beat: Beat, *, end: EndFamily = end_family) -> None:
    while True:
        beat()
        for mark in await to_thread.run_sync(orphaned):
            logger.warning("agent.orphaned", mark=mark)
            await end(ProcessFamily(NO_GROUP, None, mark), grace=GRACE_SECONDS)
            beat()
        await beat.sleep(SWEEP_SECONDS)


def orphaned() -> set[str]:
    """The marks of commands whose worker is gone. Reads the environment of every process of the machine."""
    return {mark for mark, pid, start in _marks() if not _lives(pid, start)}


def _marks() -> Iterator[tuple[str, int, int]]:
    for pid in psutil.pids():
        with suppress(OSError, ValueError):
            if marked := _MARKED.search(environment(pid)):
                mark, worker, start = marked.groups()
                yield mark.decode(), int(worker), int(start)


def _lives(pid: int, start: int) -> bool:
    with suppress(psutil.Error, ValueError, OverflowError):
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and abs(process.create_time() - start) < _STARTED_WITHIN
    return False
