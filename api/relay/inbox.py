"""What pub/sub has brought for one reader and the reader has not taken. Bounded: one that is full forgets and says
so."""

from __future__ import annotations

import asyncio
from collections import deque

CAPACITY = 256  # messages; a reader that far behind does better to read the stream, in large pages and at its own pace


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
        """Something may have been missed: what is here is worthless, and the stream has it all."""
        self._messages.clear()
        self._gap = True
        self._filled.set()

    def wake(self) -> None:
        """Lets whoever waits look around."""
        self._filled.set()

    def take(self) -> tuple[bool, list[bytes]]:
        """Whether there was a gap, and the messages since."""
        gap, messages = self._gap, list(self._messages)
        self._gap = False
        self._messages.clear()
        self._filled.clear()
        return gap, messages

    async def filled(self, patience: float) -> bool:
        """Waits up to `patience` seconds for something to take."""
        # An alarm, as `asyncio.timeout` costs as much as all the rest of taking a message.
        loop = asyncio.get_running_loop()
        until = loop.time() + patience
        alarm = loop.call_at(until, self._filled.set)
        try:
            await self._filled.wait()
        finally:
            alarm.cancel()
        return loop.time() < until  # an alarm of uvloop that is due at once knows no time
