"""The benchmark's work as an agent of runrelay, of kind python."""

from __future__ import annotations

from collections.abc import AsyncIterator

from bench.work import Work, emit_deltas
from worker.agents.protocol import AgentInput


async def emit(input: AgentInput) -> AsyncIterator[str]:
    async for delta in emit_deltas(Work.of(input.message)):
        yield delta
