"""How late the event loop of this process is. Code that blocks the loop delays every run and every stream of the
process."""

from __future__ import annotations

import time
from collections.abc import Callable

import anyio

from shared.observe.supervision import Beat

LOOK_SECONDS = 0.1


class LoopLag:
    def __init__(self, lagged: Callable[[float], None] | None = None, *, look_seconds: float = LOOK_SECONDS) -> None:
        """Every `look_seconds` the watch calls `lagged` with how many seconds late its sleep ended."""
        self._lagged = lagged
        self._look_seconds = look_seconds
        self._longest = 0.0

    async def watch_forever(self, beat: Beat) -> None:
        while True:
            beat()
            began = time.perf_counter()
            await anyio.sleep(self._look_seconds)
            late = max(0.0, time.perf_counter() - began - self._look_seconds)
            self._longest = max(self._longest, late)
            if self._lagged is not None:
                self._lagged(late)

    def longest_ms(self) -> float:
        """The longest delay in ms since the last call."""
        longest, self._longest = self._longest, 0.0
        return round(longest * 1000, 1)
