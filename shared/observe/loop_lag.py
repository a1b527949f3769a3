"""How late the event loop of this process is: what blocks it, every run and every stream here feels."""

from __future__ import annotations

import time
from collections.abc import Callable

import anyio

LOOK_SECONDS = 0.1


class LoopLag:
    def __init__(self, lagged: Callable[[float], None] | None = None, *, look_seconds: float = LOOK_SECONDS) -> None:
        """`lagged` is told, at each look, how many seconds late a sleep ended."""
        self._lagged = lagged
        self._look_seconds = look_seconds
        self._longest = 0.0

    async def watch_forever(self) -> None:
        while True:
            began = time.perf_counter()
            await anyio.sleep(self._look_seconds)
            late = max(0.0, time.perf_counter() - began - self._look_seconds)
            self._longest = max(self._longest, late)
            if self._lagged is not None:
                self._lagged(late)

    def longest_ms(self) -> float:
        """The longest since it was last asked for."""
        longest, self._longest = self._longest, 0.0
        return round(longest * 1000, 1)
