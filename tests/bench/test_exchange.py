"""The clients of the benchmark, against the service that is its ceiling."""

from __future__ import annotations

import asyncio

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bench.ceiling import app
from bench.exchange import Connection, Exchange, read, request, run_id_of
from bench.work import Work
from tests.api.served import served


async def exchanged(app: Starlette, work: Work, *, times: int = 1) -> list[Exchange]:
    async with served(app) as port:
        _, connection = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", port)
        try:
            return [await connection.ask(request(port, work, token="t"), Exchange(work)) for _ in range(times)]
        finally:
            connection.close()


async def test_a_connection_asks_one_request_after_the_other() -> None:
    answers = [read(exchange) for exchange in await exchanged(app, Work(20), times=3)]
    for answer in answers:
        assert answer.content_frames == 20
        assert len(answer.delays) == 20
        assert 0 < answer.first <= answer.whole


async def test_the_time_of_a_piece_counts_for_all_that_came_in_it() -> None:
    [exchange] = await exchanged(app, Work(1))
    data = b"".join(piece for _, piece in exchange.pieces)
    late = Exchange(exchange.work, exchange.sent, [(exchange.sent + 1, data[:300]), (exchange.sent + 2, data[300:])])
    assert (read(late).first, read(late).whole) == (2, 2)


@pytest.mark.parametrize("cut", [b'"stop"', b"000001:", b"data: "])
async def test_an_answer_with_a_fault_is_refused(cut: bytes) -> None:
    [exchange] = await exchanged(app, Work(3))
    data = b"".join(piece for _, piece in exchange.pieces)
    spoilt = data.replace(cut, b"x" * len(cut), 1)
    with pytest.raises((ValueError, KeyError)):
        read(Exchange(exchange.work, exchange.sent, [(exchange.sent, spoilt)]))


async def test_an_error_is_no_answer() -> None:
    async def refuse(_: Request) -> Response:
        return PlainTextResponse("too many", 429)

    with pytest.raises(ConnectionError, match=r"refused: b'HTTP/1\.1 429"):
        await exchanged(Starlette(routes=[Route("/v1/chat/completions", refuse, methods=["POST"])]), Work(1))


async def test_a_run_is_known_by_its_first_chunk() -> None:
    [exchange] = await exchanged(app, Work(1))
    assert run_id_of(exchange).startswith("chatcmpl")
    with pytest.raises(ValueError, match="not begun"):
        run_id_of(Exchange(exchange.work))


async def test_a_chunk_that_tells_the_usage_is_no_content() -> None:
    [exchange] = await exchanged(app, Work(2))
    usage = b'data: {"choices":[],"usage":{"total_tokens":3}}\n\n'
    head, _, body = b"".join(piece for _, piece in exchange.pieces).partition(b"\r\n\r\n")
    answer = head + b"\r\n\r\n%x\r\n%b\r\n" % (len(usage), usage) + body
    assert read(Exchange(exchange.work, exchange.sent, [(exchange.sent, answer)])).content_frames == 2
