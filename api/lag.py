"""How long the event loop of this process is held up: what it takes, every stream feels."""

from __future__ import annotations

import asyncio

import anyio

LOOK_SECONDS = 0.1


class Lag:
    def __init__(self) -> None:
        self._longest = 0.0

    async def watch_forever(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            before = clock()
            await anyio.sleep(LOOK_SECONDS)
            self._longest = max(self._longest, clock() - before - LOOK_SECONDS)

    def longest_ms(self) -> float:
        """The longest since it was last asked for."""
        longest, self._longest = self._longest, 0.0
        return round(longest * 1000, 1)
