"""Waiting for Redis: the one place that defines how the project repeats operations that must happen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import stamina

from shared.run.errors import Unavailable, Unreadable

Answer = TypeVar("Answer")


async def retry_until_available(operation: Callable[[], Awaitable[Answer]]) -> Answer:
    """Repeats an operation, which must be safe to repeat, until Redis has answered. It has no time limit of its own;
    the caller may cancel it. Raises Unreadable."""
    try:
        return await operation()  # nearly always enough, and a retry loop costs more than the operation
    except Unavailable as away:
        if not _may_pass(away):
            raise
    waits = stamina.retry_context(
        on=_may_pass, attempts=None, timeout=None, wait_initial=0.05, wait_max=1.0, wait_jitter=0.05
    )
    async for attempt in waits:
        with attempt:
            return await operation()
    raise AssertionError("retries are not bounded")


def _may_pass(error: Exception) -> bool:
    return isinstance(error, Unavailable) and not isinstance(error, Unreadable)
