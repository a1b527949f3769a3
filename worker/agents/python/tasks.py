"""Runs an agent's asynchronous code apart from the worker: in a task of its own, in an event loop of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from contextvars import copy_context
from typing import Generic, TypeVar

import structlog

from worker.agents.cleanup import to_its_end
from worker.agents.python.agent_loops import Loop, Loops
from worker.agents.python.thread_channel import ThreadChannel

logger = structlog.get_logger()

CLOSE_SECONDS = 5.0

Item = TypeVar("Item")


async def in_task(
    items: AsyncGenerator[Item, None], *, loops: Loops, name: str, close_seconds: float = CLOSE_SECONDS
) -> AsyncGenerator[Item, None]:
    """Iterates `items` in a task, not far ahead of the reader. Raises what `items` raises.

    When the reader leaves, the task is cancelled once, as asyncio does it. anyio's scopes, which stop our runs, would
    cancel each `await` of its cleanup again. A task that has not ended after `close_seconds` is left to itself, and
    `agent.stuck` is logged. If the task blocks its loop, no further run uses that loop.

    One task makes, iterates and closes `items`, so that `items` may hold task groups and scopes open.
    """
    producer = _TaskProducer(items, loops.current(), name)
    try:
        async for item in producer.channel.read():
            yield item
    finally:
        await to_its_end(producer.stop(close_seconds), name=f"end of {name}")


class _TaskProducer(Generic[Item]):
    """Produces items in a task of another loop. The methods that begin with an underscore run in that loop."""

    def __init__(self, items: AsyncGenerator[Item, None], loop: Loop, name: str) -> None:
        self.channel = ThreadChannel[Item](lambda: loop.call(self._room.release))
        self._items = items
        self._loop = loop
        self._name = name
        self._room = asyncio.Semaphore(0)
        self._reacted = False
        loop.call(self._begin, context=copy_context())

    async def stop(self, seconds: float) -> None:
        self.channel.leave()
        self._loop.call(self._cancel)
        ended = await self.channel.end_within(seconds)
        self.channel.forget()
        if not ended:
            self._loop.blocked = True
            if self._reacted:  # checked after `blocked` is set, because the loop may react just now
                self._loop.blocked = False
            at = self._loop.place() if self._loop.blocked else ""
            logger.error("agent.stuck", task=self._name, blocks=self._loop.blocked, at=at)

    def _begin(self) -> None:
        self._task = self._loop.create_task(self._produce(), name=self._name)
        self._task.add_done_callback(self._end)

    def _cancel(self) -> None:
        self._reacted, self._loop.blocked = True, False
        self._task.cancel()

    async def _produce(self) -> None:
        async with aclosing(self._items) as items:
            async for item in items:
                if self.channel.left:
                    break
                if not self.channel.put(item):
                    await self._room.acquire()

    def _end(self, task: asyncio.Task[None]) -> None:
        self.channel.end(_error(task))


def _error(task: asyncio.Task[None]) -> BaseException | None:
    try:
        return task.exception()
    except asyncio.CancelledError as cancelled:
        return cancelled
