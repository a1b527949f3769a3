"""Agents that fail in ways that may bring their input into a log."""

from __future__ import annotations

import ast
import asyncio
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path

from worker.agents.protocol import AgentInput


def raises(input: AgentInput) -> str:
    raise ValueError(input.message)


def misses(input: AgentInput) -> str:
    known: dict[str, str] = {}
    try:
        return known[input.message]
    except KeyError:
        return Path(input.message).read_text()


def parses(input: AgentInput) -> str:
    return str(ast.literal_eval(input.message))


async def breaks_off(input: AgentInput) -> AsyncIterator[object]:
    yield input.message
    json.loads(input.message)


async def _fail(text: str) -> None:
    raise ValueError(text)


async def says_nonsense(input: AgentInput) -> AsyncIterator[object]:
    yield {"stream": "tool", "data": {"phase": input.message, "name": input.message}}


def calls_exit(input: AgentInput) -> str:
    raise SystemExit(input.message)


async def groups(input: AgentInput) -> AsyncIterator[object]:
    async with asyncio.TaskGroup() as group:
        group.create_task(_fail(input.message))
    yield ""


def uses_a_library_that_logs(input: AgentInput) -> str:
    try:
        raise ValueError(input.message)
    except ValueError:
        logging.getLogger("some.library").exception("it failed")
    return input.message
