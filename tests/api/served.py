"""A real server inside the test: an ASGI app on a free port of this machine."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

import uvicorn
from starlette.types import ASGIApp

Http = Literal["h11", "httptools"]
Lifespan = Literal["on", "off"]


@asynccontextmanager
async def served(
    app: ASGIApp, *, http: Http = "httptools", lifespan: Lifespan = "off", drain_seconds: int | None = None
) -> AsyncIterator[int]:
    """Yields the port. It listens before the server starts, so that no client connects too early. At the end of the
    block the server waits for the requests under way, at most `drain_seconds`, and then cuts them off."""
    config = uvicorn.Config(
        app, http=http, ws="none", lifespan=lifespan, log_config=None, timeout_graceful_shutdown=drain_seconds
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        # asyncio sets it on the sockets that it makes. Without it each response takes 40 ms: head and body leave apart.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        serving = asyncio.create_task(server.serve([listening]), name="server")
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            await serving
