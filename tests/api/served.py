"""A real server in the test's process: it serves an ASGI app on a free port of this machine."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

import uvicorn
from starlette.types import ASGIApp

from tests.wait import wait_until

Http = Literal["h11", "httptools"]
Lifespan = Literal["on", "off"]


class _Prompt(uvicorn.Server):
    """Stops at once. uvicorn's own server checks ten times a second whether it is to stop and whether all requests are
    done, which took most of the time of a test that starts a server."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        self.should_exit = True
        self._stopping.set()

    async def main_loop(self) -> None:
        await self.on_tick(0)  # sets the header `Date`
        await self._stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Does the steps of uvicorn's own shutdown in their order, without a time limit."""
        for server in self.servers:
            server.close()
        state = self.server_state
        for connection in list(state.connections):
            connection.shutdown()
        await wait_until(lambda: not state.connections and not state.tasks, "all requests are answered")
        await self.lifespan.shutdown()


class _Limited(uvicorn.Server):
    """uvicorn's own server, for tests with requests that take too long."""

    def stop(self) -> None:
        self.should_exit = True


@asynccontextmanager
async def served(
    app: ASGIApp, *, http: Http = "httptools", lifespan: Lifespan = "off", drain_seconds: int | None = None
) -> AsyncIterator[int]:
    """Yields the port. It listens before the server starts, so that no client connects too early. At the end of the
    block the server waits for the requests under way, at most `drain_seconds`, and then cuts them off."""
    config = uvicorn.Config(
        app, http=http, ws="none", lifespan=lifespan, log_config=None, timeout_graceful_shutdown=drain_seconds
    )
    server = _Prompt(config) if drain_seconds is None else _Limited(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        # As asyncio does on its own sockets. Without it each response takes 40 ms: head and body leave separately.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        serving = asyncio.create_task(server.serve([listening]), name="server")
        try:
            yield listening.getsockname()[1]
        finally:
            server.stop()
            await serving
