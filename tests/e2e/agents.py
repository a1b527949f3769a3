"""Agents for tests. They run inside the worker process, which imports this file by its agents.toml."""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import anyio

from worker.agents.protocol import AgentInput

LOOK_SECONDS = 0.005  # between two checks of a gate


def echo(input: AgentInput) -> str:
    return input.message


def mirror(input: AgentInput) -> str:
    """Answers with all that an agent is given, as JSON."""
    return input.model_dump_json(by_alias=True)


async def scripted(input: AgentInput) -> AsyncIterator[object]:
    """Performs the steps of the play whose path is its message (tests/e2e/play.py)."""
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
    while not gate.exists():  # noqa: ASYNC110, ASYNC240 - another process opens it
        await anyio.sleep(LOOK_SECONDS)


def _note(path: Path, event: str, input: AgentInput) -> int:
    """Adds the event to the journal, and returns how many of its kind are there. It appends in one write, so that lines
    of several workers do not mix.
    """
    journal = path.with_suffix(".journal")
    with journal.open("a") as file:
        file.write(json.dumps([event, input.run_id, input.session_key, os.getpid()]) + "\n")
    return [json.loads(line)[0] for line in journal.read_text().splitlines()].count(event)
