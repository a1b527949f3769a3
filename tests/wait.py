"""Waiting for a condition, never for a time."""

from __future__ import annotations

import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

import anyio

Seen = TypeVar("Seen")

GIVE_UP_SECONDS = 20.0  # far more than any condition takes: only a test that fails waits so long
TICK_SECONDS = 0.002


@overload
async def wait_until(condition: Callable[[], Awaitable[Seen]], what: str) -> Seen: ...
@overload
async def wait_until(condition: Callable[[], Seen], what: str) -> Seen: ...
async def wait_until(condition: Callable[[], object], what: str) -> object:
    """Returns the value of `condition` as soon as it is true. `what` describes the condition. Fails after
    GIVE_UP_SECONDS with the last value."""
    give_up = time.monotonic() + GIVE_UP_SECONDS
    while True:
        answer = condition()
        seen = await answer if inspect.isawaitable(answer) else answer
        if seen:
            return seen
        if time.monotonic() > give_up:
            raise AssertionError(f"waited {GIVE_UP_SECONDS:g} s until {what}; seen last: {seen!r}")
        await anyio.sleep(TICK_SECONDS)
