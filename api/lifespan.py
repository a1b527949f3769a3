"""Runs the loops of an API process as long as the application lives."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio
from starlette.applications import Starlette

from shared.observe.supervision import Loop, Supervisor


def running(supervisor: Supervisor, loops: Sequence[Loop]) -> Callable[[Starlette], AbstractAsyncContextManager[None]]:
    """A lifespan for Starlette in which the supervisor keeps the loops."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with anyio.create_task_group() as group:
            for loop in loops:
                group.start_soon(supervisor.keep, loop, name=loop.name)
            yield
            group.cancel_scope.cancel()

    return lifespan
