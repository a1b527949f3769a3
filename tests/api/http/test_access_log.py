from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from structlog.contextvars import bind_contextvars
from structlog.testing import capture_logs

from api.http.access_log import AccessLog, route_names
from api.http.instrumentation import NoApiInstrumentation
from tests.api.served import served


@dataclass
class Seen(NoApiInstrumentation):
    requests: list[tuple[str, str, int]] = field(default_factory=list)
    streams: list[int] = field(default_factory=list)
    bytes: int = 0

    def answered_request(self, method: str, route: str, status: int, seconds: float) -> None:
        assert seconds > 0
        self.requests.append((method, route, status))

    def stream_began(self) -> None:
        self.streams.append(1)

    def stream_ended(self) -> None:
        self.streams.append(-1)

    def sent(self, size: int) -> None:
        self.bytes += size


async def _hello(request: Request) -> Response:
    bind_contextvars(run=request.path_params["name"])
    return PlainTextResponse("hello")


async def _stream(_: Request) -> Response:
    async def frames() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"data: x\n\n"

    return StreamingResponse(frames(), media_type="text/event-stream")


async def _bug(_: Request) -> Response:
    raise KeyError


async def _healthy(_: Request) -> Response:
    return Response()


ROUTES = [
    Route("/hello/{name}", _hello),
    Route("/stream", _stream),
    Route("/bug", _bug),
    Route("/healthz", _healthy),
]


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
async def client(seen: Seen) -> AsyncIterator[httpx.AsyncClient]:
    app = Starlette(routes=ROUTES, middleware=[Middleware(AccessLog, seen, route_names(ROUTES))])
    async with served(app) as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        yield client


async def test_requests_are_seen_with_their_route_and_status(client: httpx.AsyncClient, seen: Seen) -> None:
    for path in ("/hello/ann", "/hello/bob", "/nowhere", "/bug"):
        await client.get(path)
    await client.post("/hello/ann")
    assert seen.requests == [
        ("GET", "/hello/{name}", 200),
        ("GET", "/hello/{name}", 200),
        ("GET", "none", 404),
        ("GET", "/bug", 500),
        ("POST", "/hello/{name}", 405),
    ]


async def test_a_stream_is_open_from_its_first_byte_to_its_last(client: httpx.AsyncClient, seen: Seen) -> None:
    await client.get("/stream")
    await client.get("/hello/ann")
    assert seen.streams == [1, -1]
    assert seen.bytes == 3 * len(b"data: x\n\n") + len("hello")


async def test_a_line_has_the_request_and_its_response(client: httpx.AsyncClient) -> None:
    with capture_logs() as lines:
        await client.get("/stream?secret=1")
    (line,) = lines
    assert line.pop("ms") > 0
    assert line == {
        "event": "http.request", "log_level": "info", "method": "GET", "path": "/stream", "status": 200, "bytes": 27,
    }  # fmt: skip


async def test_a_line_break_in_a_path_forges_no_line(client: httpx.AsyncClient) -> None:
    with capture_logs() as lines:
        await client.get("/x%0A2026-11-22 forged")
    assert [line["path"] for line in lines] == ["/x%0A2026-11-22%20forged"]


async def test_a_probe_has_a_line_only_when_it_fails(client: httpx.AsyncClient) -> None:
    with capture_logs() as lines:
        await client.get("/healthz")
        await client.post("/healthz")
    assert [line["status"] for line in lines] == [405]
