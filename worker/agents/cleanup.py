"""Work that must finish although its caller is cancelled, such as ending an agent's processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from typing import TypeVar

from anyio import CancelScope

Item = TypeVar("Item")


async def to_its_end(work: Coroutine[object, object, None], *, name: str) -> None:
    """Awaits `work`. A caller that is cancelled meanwhile, however often, raises the cancellation after the work.

    A shielded scope alone would not do: it holds back anyio's cancellation, but not `asyncio.Task.cancel`, which arq
    and asyncio's own timeouts use. So the work is a task of its own. The scope is there because anyio would otherwise
    cancel the waiting again and again. The caller has to bound the time of the work.
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
