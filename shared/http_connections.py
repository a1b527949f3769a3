"""Bounds the connections of an HTTP server below what the process may have open.

Without a bound a few hundred idle connections take every descriptor of the process, and it accepts no more for good.
When the bound is reached, the connection that has been idle for longest makes room: whoever hoards connections loses
them, and a new client is served. A connection that sends no request in time is closed.
"""

from __future__ import annotations

import asyncio
import resource
from typing import ClassVar

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

logger = structlog.get_logger()

REQUEST_SECONDS = 20.0  # from the connection, or from a request's first byte, until its last header
LAST_SECONDS = 0.5  # for the first request of a connection when the server stops
RESERVED = 64  # descriptors for everything else that a web process opens: Redis, log, libraries, listening sockets
MOST = 65_536  # more connections than one process can serve
LOG_SECONDS = 10.0  # between lines about a full server


def raise_descriptor_limit() -> int:
    """Raises this process's limit of open descriptors to the highest that it may set. Returns how many connections it
    may hold."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return max(RESERVED, (MOST if soft == resource.RLIM_INFINITY else soft) - RESERVED)


class BoundedConnections(HttpToolsProtocol):
    """One connection of a server. `most` is the bound of all."""

    most: ClassVar[int]
    logged_at: ClassVar[float] = float("-inf")

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.idle_since, self._asked, self._leaving = self.loop.time(), False, False
        self._late = self.loop.call_later(REQUEST_SECONDS, self._close_late)
        if len(self.connections) > self.most:
            self._make_room()

    @property
    def is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._late.cancel()
        self._late = self.loop.call_later(REQUEST_SECONDS, self._close_late)

    def on_headers_complete(self) -> None:
        self._late.cancel()
        self._asked = True
        super().on_headers_complete()
        if self._leaving:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """The server stops. A connection that has brought no request yet may have one on the way: a proxy that gets no
        answer to a request that it has sent must not send it again, so it would fail."""
        self._leaving = True
        if not self._asked:
            self.loop.call_later(LAST_SECONDS, self._close_late)
        else:
            super().shutdown()

    def on_response_complete(self) -> None:
        self.idle_since = self.loop.time()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._late.cancel()
        super().connection_lost(exc)

    def _close_late(self) -> None:
        if self.is_idle:
            self.transport.abort()

    def _make_room(self) -> None:
        others = [one for one in self.connections if isinstance(one, BoundedConnections) and one is not self]
        idle = min((one for one in others if one.is_idle), key=lambda one: one.idle_since, default=self)
        idle.transport.abort()
        self.connections.discard(idle)  # now: the next connection may come before the event loop reports the end
        if self.loop.time() - type(self).logged_at > LOG_SECONDS:
            type(self).logged_at = self.loop.time()
            logger.warning("http.full", connections=self.most, closed="idle" if idle is not self else "new")


def bounded(most: int) -> type[BoundedConnections]:
    """The protocol of a server that holds `most` connections at once."""
    return type("Connections", (BoundedConnections,), {"most": most})
