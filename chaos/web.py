"""The API as a client sees it: several addresses, each of which may be away for a moment."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from random import Random

import anyio
import httpx

from chaos.service import TOKEN

SILENCE_SECONDS = 30.0  # three keep-alive comments: the relay has forgotten a stream that is silent for longer
RECEIVE_BUFFER = 16_384  # bytes that the kernel takes for a client: a slow client has to slow down the relay


class CutError(Exception):
    """The connection ended before the answer did."""


class SilentError(CutError):
    """The connection stayed open, and no byte came."""


class Web:
    def __init__(self, http: httpx.AsyncClient, urls: Sequence[str], random: Random) -> None:
        self._http = http
        self._urls = urls
        self._random = random

    @asynccontextmanager
    async def request(
        self, method: str, path: str, *, body: object = None, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[httpx.Response]:
        """The answer of one API process, chosen at random; the caller reads its body. Raises CutError or SilentError."""
        url = self._random.choice(self._urls) + path
        try:
            async with self._http.stream(method, url, json=body, headers=headers) as answer:
                yield answer
        except httpx.ReadTimeout as silence:
            raise SilentError(f"{method} {path}: nothing came for {SILENCE_SECONDS:g} s") from silence
        except httpx.TransportError as error:
            raise CutError(type(error).__name__) from error


@asynccontextmanager
async def opened(urls: Sequence[str], random: Random) -> AsyncIterator[Web]:
    transport = httpx.AsyncHTTPTransport(
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=50),
        socket_options=[(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)],
    )
    timeout = httpx.Timeout(SILENCE_SECONDS, connect=5.0, pool=None)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(transport=transport, timeout=timeout, headers=headers) as http:
        yield Web(http, urls, random)


async def frames(answer: httpx.Response, *, pace: float = 0.0) -> AsyncIterator[str]:
    """The frames of an event stream, without comments. `pace`: seconds that the reader takes for each piece of bytes."""
    rest = b""
    async for piece in answer.aiter_raw():
        *whole, rest = (rest + piece).split(b"\n\n")
        for frame in whole:
            if not frame.startswith(b":"):
                yield frame.decode()
        if pace:
            await anyio.sleep(pace)
    if rest:
        raise CutError("the stream ended inside a frame")


async def error_code(answer: httpx.Response) -> str:
    """The code of an error answer, or its status if it has no code."""
    raw = await answer.aread()
    try:
        return str(json.loads(raw)["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return f"status {answer.status_code}"
