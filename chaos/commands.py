"""The processes of a run that is a command, found past the service by what it gives them to know the run by."""

from __future__ import annotations

import time
from pathlib import Path

import anyio

LOOK_SECONDS = 0.02
RUN_ID = "RUNRELAY_RUN_ID"  # in the environment of a command and of all that it starts


def processes(run_id: str) -> list[int]:
    """Those alive now. Linux only: elsewhere nothing is found, and nothing measured."""
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
