from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Message

from api.http.api_errors import ApiError
from api.http.body import parse_json, read_body
from tests.api.served import Http, served

LIMIT = 100_000
MEBIBYTE = 1024 * 1024


class Server:
    """Responds with the length of the body, or with the error. Keeps the statuses of its responses."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.answered: asyncio.Queue[int] = asyncio.Queue()
        self.app = Starlette(routes=[Route("/", self._answer, methods=["POST"])])

    async def _answer(self, request: Request) -> Response:
        answer = await self._read(request)
        self.answered.put_nowait(answer.status_code)
        return answer

    async def _read(self, request: Request) -> Response:
        try:
            body = await read_body(request, limit=LIMIT, seconds=self._seconds)
        except ApiError as failure:
            return Response(failure.body, failure.status, failure.headers)
        return PlainTextResponse(str(len(body)))


@pytest.fixture(params=["h11", "httptools"])
def http(request: pytest.FixtureRequest) -> Http:
    return "h11" if request.param == "h11" else "httptools"


@pytest.fixture
async def port(http: Http) -> AsyncIterator[int]:
    async with served(Server(seconds=60).app, http=http) as port:
        yield port


async def post(port: int, content: bytes | AsyncIterator[bytes]) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.post(f"http://127.0.0.1:{port}/", content=content)


async def chunked(size: int) -> AsyncIterator[bytes]:
    while size > 0:
        yield b"x" * min(size, 10_000)
        size -= 10_000


@pytest.mark.parametrize("size", [0, 1, LIMIT])
async def test_up_to_the_limit_a_body_passes(port: int, size: int) -> None:
    assert (await post(port, b"x" * size)).text == str(size)
    assert (await post(port, chunked(size))).text == str(size)


@pytest.mark.parametrize("size", [LIMIT + 1, 5 * MEBIBYTE])
async def test_a_client_can_read_that_its_body_is_too_large(port: int, size: int) -> None:
    for answer in await post(port, b"x" * size), await post(port, chunked(size)):
        assert answer.status_code == 413
        assert answer.json()["error"]["message"] == "payload too large"


async def test_a_client_that_reads_only_after_it_has_sent_all_can_read_it_too(port: int) -> None:
    """A server that closes a connection with unread bytes resets it, and the response is lost."""
    size = 5 * MEBIBYTE
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size)
    for _ in range(5):
        writer.write(b"x" * MEBIBYTE)
        await writer.drain()
    assert (await reader.read()).startswith(b"HTTP/1.1 413 ")
    writer.close()
    await writer.wait_closed()


async def test_a_client_that_only_says_it_has_too_much_is_answered(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 413 ")
    writer.close()
    await writer.wait_closed()


async def test_a_body_that_does_not_come_in_time_is_a_408(http: Http) -> None:
    async with served(Server(seconds=0.05).app, http=http) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
        assert (await reader.read()).startswith(b"HTTP/1.1 408 ")
        writer.close()
        await writer.wait_closed()


async def test_a_client_that_leaves_in_mid_body_is_no_error_of_ours(http: Http) -> None:
    server = Server(seconds=60)
    async with served(server.app, http=http) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
        writer.close()
        await writer.wait_closed()
        assert await server.answered.get() == 408


async def test_no_client_is_listened_to_for_ever() -> None:
    read = 0

    async def endless() -> Message:
        nonlocal read
        read += MEBIBYTE
        return {"type": "http.request", "body": bytes(MEBIBYTE), "more_body": True}

    with pytest.raises(ApiError, match="too large"):
        await read_body(Request({"type": "http", "headers": []}, endless), limit=LIMIT, seconds=60)
    assert read <= 40 * MEBIBYTE


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"", {}),
        (b" \r\n", {}),
        (b"null", {}),
        (b"[1]", {}),
        (b'"x"', {}),
        (b"1", {}),
        (b' {"a": 1} ', {"a": 1}),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b'{"a": %s}' % (b"9" * 4000), {"a": int("9" * 4000)}),
        ('{"a": "é😀\u2028"}'.encode(), {"a": "é😀\u2028"}),
        (rb'{"a": "\ud83d\ude00"}', {"a": "😀"}),
        (rb'{"a": "\ud800"}', {"a": "\ufffd"}),
        (rb'{"a": "\uDC00\ud800x"}', {"a": "\ufffd\ufffdx"}),
        (rb'{"a": "\ud800\ud83d\ude00\n"}', {"a": "\ufffd😀\n"}),
        (rb'{"\ud800": "\\ud800 \\\ud800"}', {"\ufffd": "\\ud800 \\\ufffd"}),
    ],
)
def test_an_object_or_nothing(raw: bytes, value: dict[str, object]) -> None:
    assert parse_json(raw) == value


INVALID = [
    *(b"NaN", b"Infinity", b"-Infinity", b'{"a": NaN}'),
    *(b"\xef\xbb\xbf{}", b"\xef\xbb\xbf", '{"a": 1}'.encode("utf-16")),
    *(b"[" * 100_000, b'{"a":' * 100_000, b"[" * 300 + b"]" * 300),
    *(b'"\xff"', b'"\xed\xa0\x80"', rb'"\ud8"', rb'"\ud80z"', rb"\ud800", b'"\\'),
    *(b'{"a": 1', b"{} x", b"{'a': 1}", b'{"a": 1,}', b'"\x01"', b"{}//", b"9" * 5000, b"\x00"),
]


@pytest.mark.parametrize("raw", INVALID, ids=lambda raw: repr(raw[:16]))
def test_invalid_json(raw: bytes) -> None:
    with pytest.raises(ApiError, match="invalid json") as failed:
        parse_json(raw)
    assert failed.value.status == 400


def test_any_json_means_what_it_means_elsewhere() -> None:
    value = {
        "messages": [{"role": "user", "content": "x" * 10_000 + '"\\/\b\f\n'}],
        "n": [1, -2.5, 1e9, None],
    }
    assert parse_json(json.dumps(value).encode()) == value
