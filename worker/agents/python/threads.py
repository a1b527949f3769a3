"""Runs an agent's blocking code in a thread beside the event loop."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Generator
from contextlib import closing
from contextvars import copy_context
from types import TracebackType
from typing import Generic, Literal, Self, TypeVar

from worker.agents.python.thread_channel import ThreadChannel

Item = TypeVar("Item")


async def in_thread(items: Generator[Item, None, None], *, name: str) -> AsyncGenerator[Item, None]:
    """Iterates `items` in a thread of its own, not far ahead of the reader. Raises what `items` raises.

    A thread cannot be killed. When the reader leaves, the thread is left to itself: at its next item it closes `items`
    and ends. Until then it takes no other run's place, because it belongs to no pool, and it does not keep a stopping
    worker alive, because it is a daemon.
    """
    room = threading.Semaphore(0)
    channel = ThreadChannel[Item](room.release)
    producer = _ThreadProducer(channel, room)
    threading.Thread(target=copy_context().run, args=(producer.produce, items), name=name, daemon=True).start()
    try:
        async for item in channel.read():
            yield item
    finally:
        channel.leave()
        channel.forget()


class _ThreadProducer(Generic[Item]):
    """The thread's side: puts the items into the channel, and then the error, if one ended them."""

    def __init__(self, channel: ThreadChannel[Item], room: threading.Semaphore) -> None:
        self._channel = channel
        self._room = room

    def produce(self, items: Generator[Item, None, None]) -> None:
        with self, closing(items):
            for item in items:
                if self._channel.left:
                    break
                if not self._channel.put(item):
                    self._room.acquire()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[True]:
        self._channel.end(error)  # of any class: the reader raises it
        return True
