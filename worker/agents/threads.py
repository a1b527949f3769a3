"""Blocking code beside the event loop."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Generator
from contextlib import closing
from contextvars import copy_context
from types import TracebackType
from typing import Generic, Literal, Self, TypeVar

import anyio
from anyio import from_thread
from anyio.lowlevel import EventLoopToken, current_token
from anyio.streams.memory import MemoryObjectSendStream

Item = TypeVar("Item")


async def in_thread(items: Generator[Item, None, None], *, name: str) -> AsyncGenerator[Item, None]:
    """Iterates `items` in a thread of its own, no further than it is read. Raises what `items` raises.

    A thread cannot be killed. When the reader goes, the thread is left to itself: at its next item it closes
    `items` and ends. It is a daemon, and none of a pool's, so that until then it takes no other run's place
    and does not keep a stopping worker alive.
    """
    send, receive = anyio.create_memory_object_stream[Item]()
    hand = _Hand(send, current_token())
    threading.Thread(target=copy_context().run, args=(hand.over, items), name=name, daemon=True).start()
    try:
        with receive:
            async for item in receive:
                yield item
    finally:
        hand.left = True
    if hand.error is not None:
        raise hand.error


class _Hand(Generic[Item]):
    """The thread's side: hands over the items, and then the error, if that was the end of them.

    Once it is `left` it keeps away from the event loop, which may be closed by then.
    """

    def __init__(self, send: MemoryObjectSendStream[Item], loop: EventLoopToken) -> None:
        self.error: BaseException | None = None
        self.left = False
        self._send = send
        self._loop = loop

    def over(self, items: Generator[Item, None, None]) -> None:
        with self, closing(items):
            for item in items:
                if self.left:
                    break
                from_thread.run(self._send.send, item, token=self._loop)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[True]:
        self.error = error  # whatever it is, it is for the reader to raise
        if self.left:
            self._send.close()
        else:
            from_thread.run_sync(self._send.close, token=self._loop)
        return True
