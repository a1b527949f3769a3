"""Finds the processes of a run that is a command, without the service: by the run's id in their environment."""

from __future__ import annotations

import time
from pathlib import Path

import anyio

LOOK_SECONDS = 0.02
RUN_ID = "RUNRELAY_RUN_ID"  # in the environment of a command and of all that it starts


def processes(run_id: str) -> list[int]:
    """The pids of the run's live processes. On systems other than Linux it finds none, and nothing is measured."""
    sought = f"{RUN_ID}={run_id}".encode()
    return [int(folder.name) for folder in Path("/proc").glob("[0-9]*") if sought in _environment(folder)]


def _environment(folder: Path) -> bytes:
    try:
        return (folder / "environ").read_bytes()  # empty for a process that has ended
    except OSError:
        return b""


async def ms_until_gone(run_id: str) -> float:
    begun = time.monotonic()
    while processes(run_id):
        await anyio.sleep(LOOK_SECONDS)
    return (time.monotonic() - begun) * 1000
