"""A service as a programmer might write it in an afternoon: stock arq, and a pub/sub connection for each request.

python -m uvicorn bench.naive.web:app
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from arq import create_pool
from arq.connections import RedisSettings
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from bench.frames import DONE, HEADERS, Chunks


async def create(request: Request) -> Response:
    body = json.loads(await request.body())
    return StreamingResponse(_frames(request, body), media_type="text/event-stream", headers=HEADERS)


async def _frames(request: Request, body: dict[str, list[dict[str, str]]]) -> AsyncIterator[bytes]:
    run_id, chunks, arq = str(uuid4()), Chunks(), request.app.state.arq
    async with arq.pubsub() as pubsub:
        await pubsub.subscribe(run_id)
        await arq.enqueue_job("run_agent", run_id, body["messages"][-1]["content"])
        yield chunks.role()
        async for message in pubsub.listen():
            if message["type"] != "message":
                continue
            event = json.loads(message["data"])
            if event["type"] == "end":
                break
            yield chunks.content(event["delta"])
    yield chunks.finish() + DONE


async def ready(_: Request) -> Response:
    return PlainTextResponse("ready")


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    app.state.arq = await create_pool(RedisSettings.from_dsn(os.environ["REDIS_URL"]))
    yield
    await app.state.arq.aclose()


app = Starlette(
    routes=[Route("/v1/chat/completions", create, methods=["POST"]), Route("/readyz", ready, methods=["GET"])],
    lifespan=lifespan,
)
