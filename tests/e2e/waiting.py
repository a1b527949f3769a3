"""Waiting for what happens in other processes: for a condition, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import anyio

Seen = TypeVar("Seen")

PATIENCE_SECONDS = 20.0  # enough for a loaded machine; what waits that long has failed
LOOK_SECONDS = 0.01


def until(look: Callable[[], Seen], *, seconds: float = PATIENCE_SECONDS) -> Seen:
    """What `look` sees, as soon as it is true. Fails with what it saw last."""
    give_up = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < give_up, f"saw {seen!r} for {seconds} s"
        time.sleep(LOOK_SECONDS)
    return seen


async def soon(look: Callable[[], Seen], *, seconds: float = PATIENCE_SECONDS) -> Seen:
    """The same for a test that does something else meanwhile."""
    give_up = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < give_up, f"saw {seen!r} for {seconds} s"
        await anyio.sleep(LOOK_SECONDS)
    return seen
