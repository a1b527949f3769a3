"""Items on their way from another thread to a reader in this event loop.

What was said while the reader was busy it takes at once, so that a fast speaker costs a wake-up per batch and not per
item. The speaker may be AHEAD items ahead of what was taken; then it waits until they are.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import Generic, TypeVar

AHEAD = 64

Item = TypeVar("Item")


class ThreadChannel(Generic[Item]):
    """Made by the reader, in its event loop. There is one speaker, which may be in any thread."""

    def __init__(self, make_room: Callable[[], None]) -> None:
        """`make_room` is called, by the reader, once for each `put` that has answered False."""
        self._make_room = make_room
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._items: list[Item] = []
        self._news = asyncio.Event()
        self._ended = False
        self._error: BaseException | None = None
        self._left = self._gone = False

    # --- the speaker's side -------------------------------------------------------------------------------------------

    @property
    def left(self) -> bool:
        """Whether nobody reads any more: the speaker should stop."""
        return self._left

    def put(self, item: Item) -> bool:
        """Whether there is room for another one. If not, the speaker has to wait for it."""
        with self._lock:
            if self._left:
                return True
            self._items.append(item)
            if len(self._items) == 1:
                self._tell()
            return len(self._items) < AHEAD

    def end(self, error: BaseException | None) -> None:
        """The last call: nothing follows, or only this error, which is for the reader to raise."""
        with self._lock:
            self._ended, self._error = True, error
            self._tell()

    def _tell(self) -> None:
        if not self._gone:
            self._loop.call_soon_threadsafe(self._news.set)

    # --- the reader's side --------------------------------------------------------------------------------------------

    async def read(self) -> AsyncGenerator[Item, None]:
        """Raises the error that the speaker ended with."""
        while True:
            self._news.clear()
            items, ended = self._take()
            for item in items:
                yield item
            if ended and not items:
                break
            if not items:
                await self._news.wait()
        if self._error is not None:
            raise self._error

    def leave(self) -> None:
        """Nothing is read any more. What the speaker still says is dropped."""
        with self._lock:
            self._left = True
        self._take()

    def forget(self) -> None:
        """From now on the speaker keeps away from this event loop, which may be closed soon."""
        with self._lock:
            self._gone = True

    async def end_within(self, seconds: float) -> bool:
        """Whether the speaker ends in this time. Nothing else is waited for: `leave` comes before."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._ended:
                    await self._news.wait()
                    self._news.clear()
        return self._ended

    def _take(self) -> tuple[list[Item], bool]:
        with self._lock:
            items, self._items = self._items, []
            ended = self._ended
        if len(items) == AHEAD:
            self._make_room()
        return items, ended
