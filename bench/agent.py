"""The work as an agent of runrelay, of kind python."""

from __future__ import annotations

from collections.abc import AsyncIterator

from bench.work import Work, spoken
from worker.agents.protocol import AgentInput


async def speak(input: AgentInput) -> AsyncIterator[str]:
    async for delta in spoken(Work.of(input.message)):
        yield delta
