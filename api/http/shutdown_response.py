"""The response to requests that are still waiting for one when this process may wait no longer.

uvicorn cancels them when its time to drain is over. By then only requests that wait for Redis are left: the relay has
ended the readers of runs before. Without this module uvicorn would send a 500, as if the restart were a bug.
"""

from __future__ import annotations

import asyncio

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.api_errors import refused
from shared.run.errors import Unavailable


class ShutdownResponse:
    """ASGI middleware. It cuts off a response that has begun, because no status can be sent in it any more."""

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
