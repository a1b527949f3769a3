"""One request and its answer, in two steps: one while the clock runs, one afterwards.

While the clock runs, a client only stores bytes with the time of their arrival and looks for the end of the answer: it
has to be cheaper than the servers. Afterwards `read` parses HTTP, frames, JSON and text in full, and checks them.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from dataclasses import dataclass, field
from typing import cast

import httptools

from bench.work import Work, check, stamps

_RUN_ID = re.compile(rb'"id":"([^"]+)"')
_END = b"data: [DONE]\n\n\r\n0\r\n\r\n"


@dataclass
class Exchange:
    """A request and the pieces of its answer. Times are s of the monotonic clock."""

    work: Work
    sent: float = 0.0
    pieces: list[tuple[float, bytes]] = field(default_factory=list)


@dataclass(frozen=True)
class Answer:
    first: float  # s from the request to the first content
    whole: float  # s from the request to the end
    delays: list[float]  # s from the emission of each stamped delta to its arrival
    last_arrival: float
    content_frames: int


class Connection(asyncio.Protocol):
    """A kept-alive connection with one request at a time. With `pace` it reads at most so many bytes per second."""

    def __init__(self, *, pace: float | None = None) -> None:
        self._pace = pace
        self._transport: asyncio.Transport | None = None
        self._exchange: Exchange | None = None
        self._tail = b""
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's class does not derive from it

    async def ask(self, request: bytes, exchange: Exchange) -> Exchange:
        """Sends the request, and returns when the answer has ended. Raises ConnectionError when the service refuses it
        or the answer breaks off.
        """
        assert self._transport is not None
        self._exchange, self._tail = exchange, b""
        self._ended = asyncio.get_running_loop().create_future()
        exchange.sent = time.monotonic()
        self._transport.write(request)
        await self._ended
        return exchange

    def data_received(self, data: bytes) -> None:
        assert self._exchange is not None
        assert self._transport is not None
        if not self._exchange.pieces and not data.startswith(b"HTTP/1.1 200"):
            return self._fail(f"refused: {data[:500]!r}")
        self._exchange.pieces.append((time.monotonic(), data))
        self._tail = (self._tail + data[-len(_END) :])[-len(_END) :]
        if self._tail == _END and not self._ended.done():
            self._ended.set_result(None)
        if self._pace:
            self._transport.pause_reading()
            asyncio.get_running_loop().call_later(len(data) / self._pace, self._transport.resume_reading)
        return None

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(f"the connection ended before the answer ({error})")

    def _fail(self, why: str) -> None:
        if not self._ended.done():
            self._ended.set_exception(ConnectionError(why))

    def close(self) -> None:
        assert self._transport is not None
        self._transport.abort()


def request(port: int, work: Work, *, token: str) -> bytes:
    body = json.dumps({"model": "main", "stream": True, "messages": [{"role": "user", "content": work.message}]})
    fields = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return (_head("POST", "/v1/chat/completions", port, token) + fields + "\r\n" + body).encode()


def request_again(port: int, run_id: str, *, token: str) -> bytes:
    """The request for the stream of a run that the service has accepted already."""
    return (_head("GET", f"/v1/chat/completions/{run_id}?stream=true", port, token) + "\r\n").encode()


def _head(method: str, path: str, port: int, token: str) -> str:
    return f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n"


def run_id_of(exchange: Exchange) -> str:
    """The run's id, from the first chunk of its answer. Raises ValueError when the answer has not begun."""
    found = _RUN_ID.search(b"".join(piece for _, piece in exchange.pieces))
    if found is None:
        raise ValueError("the answer has not begun")
    return found[1].decode()


class _Body:
    """Collects the body of an answer while httptools parses it."""

    def __init__(self) -> None:
        self.data = bytearray()

    def on_body(self, body: bytes) -> None:
        self.data += body


def read(exchange: Exchange) -> Answer:
    """Parses and checks every byte of the answer. Raises ValueError when it is not the whole answer to the work."""
    body = _Body()
    parser = httptools.HttpResponseParser(body)
    done, text, delays = 0, "", []
    first = last = 0.0
    contents, finished = 0, False
    for arrived, piece in exchange.pieces:
        parser.feed_data(piece)
        if (end := body.data.rfind(b"\n\n") + 2) < 2:
            continue
        frames, done = body.data[done:end].decode(), end
        for frame in frames.split("\n\n"):
            if not frame or frame.startswith(":"):
                continue
            if frame == "data: [DONE]":
                continue
            for choice in json.loads(frame.removeprefix("data: "))["choices"]:  # the chunk of the usage has none
                finished |= choice["finish_reason"] == "stop"
                if content := choice["delta"].get("content"):
                    first = first or arrived
                    last = arrived
                    contents += 1
                    text += content
                    delays += [arrived - emitted for emitted in stamps(content)]
    if parser.get_status_code() != 200 or not finished:
        raise ValueError(f"no whole answer: status {parser.get_status_code()}, {bytes(body.data[-300:])!r}")
    check(text, exchange.work)
    return Answer(first - exchange.sent, exchange.pieces[-1][0] - exchange.sent, delays, last, contents)
