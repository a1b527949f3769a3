"""The ceiling: one process, no Redis; the response itself reads the agent's generator.

python -m uvicorn bench.ceiling:app
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from bench.frames import DONE, HEADERS, Chunks
from bench.work import Work, emit_deltas


async def create(request: Request) -> Response:
    body = json.loads(await request.body())
    work = Work.of(body["messages"][-1]["content"])
    return StreamingResponse(_frames(work), media_type="text/event-stream", headers=HEADERS)


async def _frames(work: Work) -> AsyncIterator[bytes]:
    chunks = Chunks()
    yield chunks.role()
    async for delta in emit_deltas(work):
        yield chunks.content(delta)
    yield chunks.finish() + DONE


async def ready(_: Request) -> Response:
    return PlainTextResponse("ready")


app = Starlette(
    routes=[Route("/v1/chat/completions", create, methods=["POST"]), Route("/readyz", ready, methods=["GET"])]
)
