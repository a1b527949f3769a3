"""Waiting for Redis: the one place that says how acts that must happen are repeated."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

import stamina

from shared.run.errors import Unavailable

Answer = TypeVar("Answer")


async def retry_until_available(act: Callable[[], Awaitable[Answer]]) -> Answer:
    """Does an act that is safe to repeat until Redis has answered. Bounded by cancelling it."""
    with suppress(Unavailable):
        return await act()  # nearly always all there is to do; a retry loop costs more than the act
    waits = stamina.retry_context(
        on=Unavailable, attempts=None, timeout=None, wait_initial=0.05, wait_max=1.0, wait_jitter=0.05
    )
    async for attempt in waits:
        with attempt:
            return await act()
    raise AssertionError("retries are not bounded")
