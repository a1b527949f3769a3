"""A worker's own small HTTP server: `GET /metrics` and `GET /healthz`.

It runs in the event loop of the runs, so `/healthz` answers as long as nothing blocks that loop, and it is 503 when one
of the worker's loops does not go on. A liveness probe needs to know exactly that.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest

import uvicorn
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from shared.bind import bind, is_loopback
from shared.http_connections import bounded
from shared.observe.process_metrics import exposition
from shared.run.errors import SettingsError
from shared.settings import Settings

CONNECTIONS = 32  # a few scrapers and probes: the worker needs its descriptors for agents


def status_sockets(settings: Settings) -> list[socket.socket]:
    """The sockets on which the server listens; none without a METRICS_PORT.

    Raises SettingsError when the port cannot be bound, or when other machines could read the metrics without a token.
    """
    if settings.metrics_port is None:
        return []
    if not settings.metrics_token and not is_loopback(settings.bind):
        raise SettingsError(
            f"METRICS_PORT={settings.metrics_port}: on HOST={settings.bind!r} any machine could read the metrics."
            " Set METRICS_TOKEN, or HOST=127.0.0.1."
        )
    return bind(settings.bind, "METRICS_PORT", settings.metrics_port)


class StatusServer:
    def __init__(self, registry: CollectorRegistry, *, token: str, stalled: Callable[[], Sequence[str]]) -> None:
        """Without a token, every client that reaches the server may read the metrics. `stalled` returns the loops
        because of which the worker is not alive."""
        page = _Page(registry, token, stalled)
        routes = [Route("/metrics", page.show, methods=["GET"]), Route("/healthz", page.live, methods=["GET"])]
        config = uvicorn.Config(
            Starlette(routes=routes),
            access_log=False,
            log_config=None,
            server_header=False,
            lifespan="off",
            http=bounded(CONNECTIONS),
        )
        self._server = _Server(config)

    async def serve(self, bound: list[socket.socket]) -> None:
        """Serves until the caller cancels it."""
        try:
            await self._server.serve(bound)
        finally:
            for listening in self._server.servers:
                listening.close()


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves the signals to the worker: it drains, and the server shows its metrics meanwhile."""
        yield


@dataclass(frozen=True)
class _Page:
    registry: CollectorRegistry
    token: str
    stalled: Callable[[], Sequence[str]]

    async def live(self, _: Request) -> Response:
        if loops := self.stalled():
            return JSONResponse({"status": "stalled", "loops": [*loops]}, 503, headers={"Cache-Control": "no-store"})
        return JSONResponse({"status": "ok"}, headers={"Cache-Control": "no-store"})

    async def show(self, request: Request) -> Response:
        if self.token and not _is(self.token, request.headers.get("authorization", "")):
            return PlainTextResponse("Unauthorized", 401, headers={"WWW-Authenticate": "Bearer"})
        body, content_type = exposition(self.registry, request.headers.get("accept", ""))
        return Response(body, headers={"Content-Type": content_type, "Cache-Control": "no-store"})


def _is(token: str, authorization: str) -> bool:
    scheme, _, given = authorization.partition(" ")
    known = sha256(token.encode()).digest()
    return scheme.lower() == "bearer" and compare_digest(known, sha256(given.strip().encode("latin-1")).digest())
