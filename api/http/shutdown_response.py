"""The answer to requests that are still without one when this process may wait no longer.

uvicorn cancels them when its time to drain is over. What is cancelled then waits for Redis: readers of runs have been
told before. Left to uvicorn, their clients would get a 500, which says of a restart that it was a bug.
"""

from __future__ import annotations

import asyncio

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.api_errors import refused
from shared.run.errors import Unavailable


class ShutdownResponse:
    """ASGI middleware. A response that has begun is cut off, as nothing else could be said in it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except asyncio.CancelledError:
            if begun or scope["type"] != "http":
                raise
            failure = refused(Unavailable("the process stops"))
            await Response(failure.body, failure.status, headers=failure.headers)(scope, receive, send)
