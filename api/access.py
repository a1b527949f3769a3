"""Every request, as seen from outside of the application: counted, and what it sends measured."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.watch import Watch

NO_ROUTE = "none"  # what fits no route is a client's text, and no label
BUG = 500  # an exception passes by here on its way to the answer that the server makes of it


def route_names(routes: Iterable[Route]) -> dict[object, str]:
    """The path of each endpoint, its parameters by name."""
    return {route.endpoint: route.path for route in routes}


class Access:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, watch: Watch, names: Mapping[object, str]) -> None:
        self._app = app
        self._watch = watch
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = Answer(send, self._watch)
        try:
            await self._app(scope, receive, answer.send)
        finally:
            self._watch.answered_request(
                scope["method"], self._names.get(scope.get("endpoint"), NO_ROUTE), answer.status, answer.began_after
            )
            answer.end()


class Answer:
    """What is sent to a client, on its way."""

    def __init__(self, send: Send, watch: Watch) -> None:
        self.status = BUG
        self._send = send
        self._watch = watch
        self._asked_at = time.perf_counter()
        self._began_at: float | None = None
        self._streams = False

    @property
    def began_after(self) -> float:
        """Seconds until the answer began."""
        return (self._began_at or time.perf_counter()) - self._asked_at

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._begin(message)
        elif body := message.get("body"):
            self._watch.sent(len(body))
        await self._send(message)

    def _begin(self, message: Message) -> None:
        self.status, self._began_at = message["status"], time.perf_counter()
        self._streams = any(
            name == b"content-type" and value.startswith(b"text/event-stream") for name, value in message["headers"]
        )
        if self._streams:
            self._watch.stream_began()

    def end(self) -> None:
        if self._streams:
            self._watch.stream_ended()
