"""Runs loops as long as the application lives."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio
from starlette.applications import Starlette

Loop = Callable[[], Coroutine[None, None, None]]


def running(*loops: Loop) -> Callable[[Starlette], AbstractAsyncContextManager[None]]:
    """A lifespan for Starlette that runs the loops. When one loop raises, the others end
    and uvicorn logs it; the process goes on serving without them."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with anyio.create_task_group() as group:
            for loop in loops:
                group.start_soon(loop, name=loop.__qualname__)
            yield
            group.cancel_scope.cancel()

    return lifespan
