"""Work that has to be finished, such as ending what an agent started."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from typing import TypeVar

from anyio import CancelScope

Item = TypeVar("Item")


async def to_its_end(work: Coroutine[object, object, None], *, name: str) -> None:
    """Awaits `work`. Cancelled meanwhile, however often, it lets the cancellation go on when `work` is done.

    A shielded scope alone would not do: it holds back anyio's cancellation, but not `asyncio.Task.cancel`,
    which is what arq and asyncio's own timeouts use. So the work is a task of its own, and the scope is there
    because anyio would otherwise cancel the waiting again and again. Bounding the work is the caller's part.
    """
    task = asyncio.create_task(work, name=name)
    cancelled: asyncio.CancelledError | None = None
    with CancelScope(shield=True):
        while not task.done():
            try:
                await asyncio.wait({task})
            except asyncio.CancelledError as cancellation:
                cancelled = cancellation
    task.result()
    if cancelled is not None:
        raise cancelled


def closing(items: AsyncIterator[Item]) -> AbstractAsyncContextManager[AsyncIterator[Item]]:
    """Like `aclosing`, for items that need not be a generator."""
    return aclosing(items) if isinstance(items, AsyncGenerator) else nullcontext(items)
