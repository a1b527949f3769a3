"""A channel for items from a producer in another thread to a reader in this event loop.

The reader takes all items that came while it was busy at once, so that a fast producer costs one wake-up for each batch
and not for each item. The producer may be AHEAD items ahead; then it waits until the reader has taken them.
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
    """The reader makes it, in its event loop. There is one producer, which may be in any thread."""

    def __init__(self, make_room: Callable[[], None]) -> None:
        """The reader calls `make_room` once for each `put` that returned False."""
        self._make_room = make_room
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._items: list[Item] = []
        self._news = asyncio.Event()
        self._ended = False
        self._error: BaseException | None = None
        self._left = self._gone = False

    # --- the producer's side ------------------------------------------------------------------------------------------

    @property
    def left(self) -> bool:
        """Whether the reader has left: the producer should stop."""
        return self._left

    def put(self, item: Item) -> bool:
        """Adds an item. Returns whether there is room for another one; if not, the producer has to wait for room."""
        with self._lock:
            if self._left:
                return True
            self._items.append(item)
            if len(self._items) == 1:
                self._wake_reader()
            return len(self._items) < AHEAD

    def end(self, error: BaseException | None) -> None:
        """The producer's last call. The reader raises `error`, if there is one, after the last item."""
        with self._lock:
            self._ended, self._error = True, error
            self._wake_reader()

    def _wake_reader(self) -> None:
        if not self._gone:
            self._loop.call_soon_threadsafe(self._news.set)

    # --- the reader's side --------------------------------------------------------------------------------------------

    async def read(self) -> AsyncGenerator[Item, None]:
        """The items, until the producer's end. Raises the error that the producer ended with."""
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
        """The reader leaves. The channel drops all further items."""
        with self._lock:
            self._left = True
        self._take()

    def forget(self) -> None:
        """From now on the producer does not call this event loop, which may be closed soon."""
        with self._lock:
            self._gone = True

    async def end_within(self, seconds: float) -> bool:
        """Whether the producer ends within this time. The reader calls `leave` first, so that no item wakes it."""
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
