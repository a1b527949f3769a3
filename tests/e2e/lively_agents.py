"""Agents for the pictures of the monitor page. They run inside the worker process."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import anyio

from worker.agents.protocol import AgentInput

TEXT = (
    "The nightly build failed because the lock file was older than the ranges it was made from. I have renewed it, "
    "run the tests that touch it, and left the others alone. Two of them were slow before and still are; the notes "
    "say which. What is left is a decision that I should not take for you: whether the old client is to be served."
)
WORDS = TEXT.split()


async def chat(input: AgentInput) -> AsyncIterator[object]:
    for word in WORDS[: random.randint(15, len(WORDS))]:
        yield word + " "
        await anyio.sleep(random.uniform(0.02, 0.12))


async def coder(input: AgentInput) -> AsyncIterator[object]:
    yield "Let me look at the file first. "
    for number, (name, args) in enumerate((("read", {"path": "orders.py"}), ("edit", {"path": "orders.py"}))):
        yield {"stream": "tool", "data": {"phase": "start", "name": name, "toolCallId": str(number), "args": args}}
        await anyio.sleep(random.uniform(0.3, 1.2))
        yield {"stream": "tool", "data": {"phase": "result", "name": name, "toolCallId": str(number), "result": "ok"}}
    yield {"message": True}
    async for word in chat(input):
        yield word
    yield {"stream": "usage", "data": {"promptTokens": 1812, "completionTokens": 214, "totalTokens": 2026}}


async def stuck(input: AgentInput) -> AsyncIterator[object]:
    yield "I am waiting for a lock that "
    await anyio.sleep_forever()
