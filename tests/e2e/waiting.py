"""Waits for events in other processes: for a condition, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import anyio

Seen = TypeVar("Seen")

PATIENCE_SECONDS = 20.0  # enough for a loaded machine; a condition that takes longer has failed
LOOK_SECONDS = 0.01


def until(look: Callable[[], Seen], *, seconds: float = PATIENCE_SECONDS) -> Seen:
    """Calls `look` until it returns a true value, and returns that. Fails with the last value after `seconds`."""
    give_up = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < give_up, f"saw {seen!r} for {seconds} s"
        time.sleep(LOOK_SECONDS)
    return seen


async def soon(look: Callable[[], Seen], *, seconds: float = PATIENCE_SECONDS) -> Seen:
    """Like `until`, for a test with an event loop: other tasks run meanwhile."""
    give_up = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < give_up, f"saw {seen!r} for {seconds} s"
        await anyio.sleep(LOOK_SECONDS)
    return seen
