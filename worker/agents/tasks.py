"""Somebody else's asynchronous code, at arm's length."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

import anyio
from anyio.streams.memory import MemoryObjectSendStream

from worker.agents.cleanup import to_its_end

CLOSE_SECONDS = 5.0

Item = TypeVar("Item")


async def in_task(
    items: AsyncGenerator[Item, None], *, name: str, close_seconds: float = CLOSE_SECONDS
) -> AsyncGenerator[Item, None]:
    """Iterates `items` in a task of its own, no further than it is read. Raises what `items` raises.

    When the reader goes, the task is cancelled once, as asyncio does it. anyio's scopes, which stop our runs, would
    cancel each `await` of its cleanup again. A task that has not ended after `close_seconds` is left to itself.

    `items` is made, iterated and closed in one and the same task, so that it may hold task groups and scopes open.
    """
    send, receive = anyio.create_memory_object_stream[Item]()
    task = asyncio.create_task(_hand_over(items, send), name=name)
    with receive:
        try:
            async for item in receive:
                yield item
            await task  # raises what ended it
        finally:
            task.cancel()
            await to_its_end(_ended(task, close_seconds), name=f"end of {name}")


async def _hand_over(items: AsyncGenerator[Item, None], send: MemoryObjectSendStream[Item]) -> None:
    with send:
        async with aclosing(items):
            async for item in items:
                await send.send(item)


async def _ended(task: asyncio.Task[None], seconds: float) -> None:
    await asyncio.wait({task}, timeout=seconds)
