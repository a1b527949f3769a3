"""The agents of the suite. They run inside the worker processes, which import this file by `agents.toml`."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import anyio

from chaos.journal import VARIABLE, Journal
from chaos.script import Order, script
from worker.agents.protocol import AgentInput


async def perform(input: AgentInput) -> AsyncIterator[object]:
    """Yields the steps of the script for its order, and notes its start and its end in the journal."""
    journal = Journal(Path(os.environ[VARIABLE]))
    journal.add("start", input.run_id)
    try:
        for step in script(Order.of(input.message)).steps:
            match step:
                case {"pause": float(seconds)}:
                    await anyio.sleep(seconds)
                case _:
                    yield step
    finally:
        journal.add("end", input.run_id)
