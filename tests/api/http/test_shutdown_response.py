"""These tests run on a real uvicorn, because it is uvicorn that cuts the requests off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import anyio
import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from api.http.shutdown_response import ShutdownResponse
from tests.api.running import problem
from tests.api.served import served


class Service:
    """A service whose responses wait forever. `waiting` is set once a request waits."""

    def __init__(self) -> None:
        self.waiting = anyio.Event()
        routes = [Route("/silent", self.silent), Route("/begun", self.begun), Route("/ready", self.ready)]
        self.app = Starlette(routes=routes, middleware=[Middleware(ShutdownResponse)])

    async def silent(self, _: Request) -> Response:
        self.waiting.set()
        await anyio.sleep_forever()
        raise AssertionError("unreachable")

    async def begun(self, _: Request) -> Response:
        return StreamingResponse(self._words())

    async def _words(self) -> AsyncIterator[bytes]:
        yield b"one "
        self.waiting.set()
        await anyio.sleep_forever()

    async def ready(self, _: Request) -> Response:
        return PlainTextResponse("ready")


async def response_while_stopping(service: Service, path: str) -> httpx.Response:
    async with (
        httpx.AsyncClient() as client,
        asyncio.TaskGroup() as group,
        served(service.app, drain_seconds=0) as port,
    ):
        answer = group.create_task(client.get(f"http://127.0.0.1:{port}{path}"))
        await service.waiting.wait()
    return answer.result()


async def test_a_request_without_an_answer_is_told_to_come_again() -> None:
    answer = await response_while_stopping(Service(), "/silent")
    assert problem(answer) == (503, "unavailable", None)
    assert answer.headers["Retry-After"]


async def test_an_answer_that_has_begun_is_cut_off_and_does_not_look_whole() -> None:
    with pytest.raises(ExceptionGroup) as cut:
        await response_while_stopping(Service(), "/begun")
    assert cut.group_contains(httpx.RemoteProtocolError)


async def test_answers_pass_as_they_are() -> None:
    async with served(Service().app) as port, httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{port}/ready")
    assert (answer.status_code, answer.text) == (200, "ready")
