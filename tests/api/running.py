"""The whole API inside the test process. A test may run several on one Redis."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass

import httpx
from openai._streaming import ServerSentEvent, SSEDecoder

from api.app import Application, create_app
from shared.observe.tracing import Tracer
from shared.redis.pipe import Pipe, Pipes
from shared.settings import Settings
from tests.api.served import served
from tests.broker import KEYS, Broker, opened_client
from tests.plain import NO_TLS

ALICE, BOB = "alices-token", "bobs-token"
MONA, OLGA = "monas-token", "olgas-token"  # the scopes `monitor` and `operate`


@dataclass(frozen=True)
class Api:
    """The API as in a process of its own, but inside the test process."""

    url: str
    application: Application

    @asynccontextmanager
    async def client(self, token: str = ALICE) -> AsyncIterator[httpx.AsyncClient]:
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=self.url, headers=headers, verify=NO_TLS) as client:
            yield client


@asynccontextmanager
async def running_api(
    broker: Broker, name: str = "api", *, tracer: Tracer | None = None, **settings: object
) -> AsyncIterator[Api]:
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(opened_client(broker))
        pubsub = await stack.enter_async_context(opened_client(broker, connections=1))
        pipe = await stack.enter_async_context(aclosing(Pipe(redis)))
        known = {"namespace": KEYS.namespace, "api_tokens": f"alice:{ALICE},bob:{BOB}", "retention_seconds": 60}
        known |= {"monitor_tokens": f"mona:{MONA}", "operate_tokens": f"olga:{OLGA}"}
        application = create_app(
            Settings.model_validate(known | settings), Pipes(pipe, pipe), pubsub, name=name, tracer=tracer
        )
        port = await stack.enter_async_context(served(application.app, lifespan="on"))
        stack.callback(application.end_streams)
        stack.callback(application.end_pages)
        yield Api(f"http://127.0.0.1:{port}", application)


class Feed:
    """Reads an event stream and skips comments, as clients do."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self._events = SSEDecoder().aiter_bytes(answer.aiter_bytes())

    async def next(self) -> ServerSentEvent:
        return await anext(self._events)

    async def rest(self) -> list[ServerSentEvent]:
        return [event async for event in self._events]


@asynccontextmanager
async def feed(
    client: httpx.AsyncClient, url: str, *, headers: dict[str, str] | None = None, **params: str | int
) -> AsyncIterator[Feed]:
    async with client.stream("GET", url, headers=headers, params=params) as answer:
        yield Feed(answer)


@asynccontextmanager
async def streamed_chat(
    client: httpx.AsyncClient, body: dict[str, object], *, headers: dict[str, str] | None = None
) -> AsyncIterator[Feed]:
    async with client.stream("POST", "/v1/chat/completions", json={**body, "stream": True}, headers=headers) as answer:
        yield Feed(answer)


def chat(message: str = "Hi", **fields: object) -> dict[str, object]:
    """The body of a chat completion request."""
    return {"messages": [{"role": "user", "content": message}], **fields}


def text_of(chunks: list[ServerSentEvent]) -> str:
    """The joined text of these chat chunks; `[DONE]` is skipped."""
    choices = [choice for chunk in chunks if chunk.data != "[DONE]" for choice in json.loads(chunk.data)["choices"]]
    return "".join(choice["delta"].get("content", "") for choice in choices)


def problem(answer: httpx.Response) -> tuple[int, str | None, str | None]:
    """Status, code and param of an error response."""
    error = answer.json()["error"]
    assert error["message"]
    return answer.status_code, error.get("code"), error.get("param")
