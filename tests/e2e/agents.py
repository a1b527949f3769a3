"""Agents for tests. They run inside the worker process, which imports this file by its agents.toml."""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import anyio

from worker.agents.protocol import AgentInput

LOOK_SECONDS = 0.005  # between two looks at a gate


def echo(input: AgentInput) -> str:
    return input.message


def mirror(input: AgentInput) -> str:
    """All that an agent is given."""
    return input.model_dump_json(by_alias=True)


async def scripted(input: AgentInput) -> AsyncIterator[object]:
    """Performs the steps that its message tells of (tests/e2e/play.py)."""
    path = Path(input.message)
    attempt = _note(path, "start", input)
    try:
        for step in json.loads(path.with_suffix(".steps").read_text()):
            match step:
                case {"wait": gate}:
                    await _opened(path.with_suffix(f".{gate}.gate"))
                case {"wait each": gate}:
                    await _opened(path.with_suffix(f".{gate}{attempt}.gate"))
                case {"block": gate}:
                    while not path.with_suffix(f".{gate}.gate").exists():
                        time.sleep(LOOK_SECONDS)  # noqa: ASYNC251
                case {"breathe": True}:
                    await anyio.sleep(LOOK_SECONDS / 2)
                case {"raise": text}:
                    raise ValueError(text)
                case _:
                    yield step
    finally:
        _note(path, "end", input)


async def _opened(gate: Path) -> None:
    while not gate.exists():  # noqa: ASYNC110, ASYNC240 - the one who opens it is another process
        await anyio.sleep(LOOK_SECONDS)


def _note(path: Path, act: str, input: AgentInput) -> int:
    """How often it stands in the journal by now. One write in append mode: lines of several workers do not mix."""
    journal = path.with_suffix(".journal")
    with journal.open("a") as file:
        file.write(json.dumps([act, input.run_id, input.session_key, os.getpid()]) + "\n")
    return [json.loads(line)[0] for line in journal.read_text().splitlines()].count(act)
