"""The pub/sub messages that one reader has not taken yet. Bounded: a full inbox drops them and reports a gap."""

from __future__ import annotations

import asyncio
from collections import deque

CAPACITY = 256  # messages; a reader further behind does better to read the stream, in large pages and at its own pace


class Inbox:
    def __init__(self) -> None:
        self._messages: deque[bytes] = deque()
        self._gap = False
        self._filled = asyncio.Event()

    def put(self, message: bytes) -> None:
        if len(self._messages) == CAPACITY:
            self.gap()
            return
        self._messages.append(message)
        self._filled.set()

    def gap(self) -> None:
        """Records that a message may be missing. Drops the messages in this inbox: the stream has them all."""
        self._messages.clear()
        self._gap = True
        self._filled.set()

    def wake(self) -> None:
        """Wakes the reader that waits in `filled`, without a message."""
        self._filled.set()

    def take(self) -> tuple[bool, list[bytes]]:
        """Removes and returns whether there was a gap, and the messages since that gap."""
        gap, messages = self._gap, list(self._messages)
        self._gap = False
        self._messages.clear()
        self._filled.clear()
        return gap, messages

    async def filled(self, patience: float) -> bool:
        """Waits up to `patience` seconds for a message, a gap or a wake-up. False when the time is over."""
        # A plain timer: `asyncio.timeout` costs as much as the rest of taking a message.
        loop = asyncio.get_running_loop()
        until = loop.time() + patience
        alarm = loop.call_at(until, self._filled.set)
        try:
            await self._filled.wait()
        finally:
            alarm.cancel()
        return loop.time() < until  # not `alarm.when()`: a timer of uvloop that is due at once has none
