"""Examines the agents that a worker would serve with these settings, in this directory.

A process of its own looks: this program reads no agents, and the worker's code is not its own.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import anyio

from cli.doctor.finding import Finding, bad, ok

LOOK_SECONDS = 20.0


async def agents_file(environment: Mapping[str, str], file: Path) -> list[Finding]:
    """No finding where there is no agents.toml: the workers may run on other machines."""
    if not await anyio.Path(file).exists() and "AGENTS_FILE" not in environment:
        return []
    try:
        with anyio.fail_after(LOOK_SECONDS):
            command = [sys.executable, "-m", "worker.agents"]
            look = await anyio.run_process(command, env=environment, check=False, stderr=subprocess.PIPE)
    except TimeoutError:
        return [
            bad("agents file", f"{file} could not be read in {LOOK_SECONDS:g} s", "See what holds up this machine.")
        ]
    if look.returncode == 0:
        return [ok("agents file", f"{file}: {look.stdout.decode().strip()}")]
    wrong = look.stderr.decode(errors="replace").strip().rpartition("\n")[2]
    return [bad("agents file", wrong, "Correct it: a worker does not start with it.")]
