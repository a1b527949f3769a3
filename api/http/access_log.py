"""Counts each request, measures the bytes of its response, and logs one line. It runs outside of the application."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

import structlog
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import clear_contextvars

from api.http.instrumentation import ApiInstrumentation

NO_ROUTE = "none"  # a path that fits no route is a client's text, which must not become a label
# Machines request these every few seconds: logged when their answer is another one than before.
QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
WATCHED = "/v1/admin/"  # `runrelay top` reads these several times a second: its reads are logged when they fail
BUG = 500  # an exception passes through here before the server makes a response of it

logger = structlog.get_logger()


def route_names(routes: Iterable[Route]) -> dict[object, str]:
    """The path of each endpoint, with its parameters by name."""
    return {route.endpoint: route.path for route in routes}


class AccessLog:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, instrumentation: ApiInstrumentation, names: Mapping[object, str]) -> None:
        self._app = app
        self._instrumentation = instrumentation
        self._names = names
        self._before: dict[str, int] = dict.fromkeys(QUIET, 200)  # the last status of each

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        clear_contextvars()  # a request right behind another one on its connection starts in that one's context
        response = MeteredResponse(send, self._instrumentation)
        try:
            await self._app(scope, receive, response.send)
        finally:
            route = self._names.get(scope.get("endpoint"), NO_ROUTE)
            self._instrumentation.answered_request(scope["method"], route, response.status, response.began_after)
            response.end()
            if self._is_news(scope["method"], route, response.status):
                logger.info("http.request", method=scope["method"], path=_path(scope), **response.facts)

    def _is_news(self, method: str, route: str, status: int) -> bool:
        if route in QUIET:
            before, self._before[route] = self._before[route], status
            return status != before
        return status >= 400 or method != "GET" or not route.startswith(WATCHED)


class MeteredResponse:
    """Wraps `send` and measures the response that passes through it."""

    def __init__(self, send: Send, instrumentation: ApiInstrumentation) -> None:
        self.status = BUG
        self._send = send
        self._instrumentation = instrumentation
        self._requested_at = time.perf_counter()
        self._began_at: float | None = None
        self._streams = False
        self._sent = 0

    @property
    def began_after(self) -> float:
        """Seconds from the request until the response began."""
        return (self._began_at or time.perf_counter()) - self._requested_at

    @property
    def facts(self) -> dict[str, int | float]:
        """The fields of the log line. `ms` counts from the request until now, the end of the response."""
        ms = round((time.perf_counter() - self._requested_at) * 1000, 1)
        return {"status": self.status, "ms": ms, "bytes": self._sent}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._begin(message)
        elif body := message.get("body"):
            self._sent += len(body)
            self._instrumentation.sent(len(body))
        await self._send(message)

    def _begin(self, message: Message) -> None:
        self.status, self._began_at = message["status"], time.perf_counter()
        self._streams = any(
            name == b"content-type" and value.startswith(b"text/event-stream") for name, value in message["headers"]
        )
        if self._streams:
            self._instrumentation.stream_began()

    def end(self) -> None:
        if self._streams:
            self._instrumentation.stream_ended()


def _path(scope: Scope) -> str:
    """The path as the client sent it, so it has no line breaks. Without the query, which may hold secrets."""
    sent: bytes = scope.get("raw_path") or scope["path"].encode()
    return sent.partition(b"?")[0].decode("latin-1")
