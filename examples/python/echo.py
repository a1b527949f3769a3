"""The smallest agent in Python: it repeats the message, word by word."""

import asyncio
from collections.abc import AsyncIterator

from worker.agents.protocol import AgentInput


async def reply(input: AgentInput) -> AsyncIterator[str]:
    for word in input.message.split(" "):
        yield f"{word} "
        await asyncio.sleep(0.05)  # a model would think here
