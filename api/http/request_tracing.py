"""Adds each request to a trace. The application finds the request's own span in the `traceparent` header, in place of
the client's."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.access_log import BUG, NO_ROUTE, QUIET
from shared.observe.tracing import Tracer

HEADER = b"traceparent"


class RequestTracing:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, tracer: Tracer, names: Mapping[object, str]) -> None:
        self._app = app
        self._tracer = tracer
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in QUIET:
            await self._app(scope, receive, send)
            return
        status = BUG

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        given = dict(scope["headers"]).get(HEADER, b"").decode("latin-1")
        with self._tracer.request(scope["method"], scope["path"], given) as span:
            others = [(name, value) for name, value in scope["headers"] if name != HEADER]
            scope["headers"] = [*others, (HEADER, span.traceparent.encode())]
            try:
                await self._app(scope, receive, sending)
            finally:
                span.answered(self._names.get(scope.get("endpoint"), NO_ROUTE), status)
