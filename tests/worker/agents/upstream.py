"""A model behind an OpenAI-compatible API on this machine. A test decides its answers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager

import anyio
from pydantic import JsonValue
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from tests.api.served import served


def chunk(
    *,
    finish: str | None = None,
    usage: JsonValue = None,
    choices: bool = True,
    extra: Mapping[str, JsonValue] | None = None,
    **delta: JsonValue,
) -> JsonValue:
    choice: JsonValue = {"index": 0, "delta": {**delta, **(extra or {})}, "finish_reason": finish}
    body: dict[str, JsonValue] = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return {**body, "choices": [choice] if choices else [], "usage": usage}


def stream(*chunks: JsonValue, done: bool = True) -> Response:
    frames = [f"data: {json.dumps(one)}\n\n" for one in chunks]
    return events([*frames, "data: [DONE]\n\n"] if done else frames)


def events(frames: Iterable[str]) -> Response:
    return StreamingResponse(iter(frames), media_type="text/event-stream")


def piece(index: int | None = 0, **fields: JsonValue) -> JsonValue:
    """A chunk with a piece of one call. `name` and `arguments` are those of its function."""
    function: dict[str, JsonValue] = {name: fields.pop(name) for name in ("name", "arguments") if name in fields}
    call: dict[str, JsonValue] = {**fields, "function": function}
    return chunk(tool_calls=[call if index is None else {"index": index, **call}])


def refusal(status: int, message: str = "no", code: str = "", **headers: str) -> Response:
    """A refusal that the client does not try again, unless a header has it do so."""
    body = json.dumps({"error": {"message": message, "type": "x", "code": code or None}})
    headers = {"x-should-retry": "false", **{key.replace("_", "-"): value for key, value in headers.items()}}
    return Response(body, status, headers=headers, media_type="application/json")


class Upstream:
    """Answers one request after the other with the prepared answers, and keeps the requests."""

    def __init__(self, *answers: Response) -> None:
        self.url = ""
        self.asked: list[dict[str, JsonValue]] = []
        self.headers: list[dict[str, str]] = []
        self.left = anyio.Event()  # set when a client has left `hanging`
        self._answers = list(answers)

    def answer(self, *answers: Response) -> None:
        """Prepares the answers to the next requests."""
        self._answers += answers

    async def complete(self, request: Request) -> Response:
        self.asked.append(await request.json())
        self.headers.append(dict(request.headers))
        return self._answers.pop(0)

    def hang(self, *frames: str) -> None:
        """Answers the next request with these frames, and then keeps the connection open in silence."""
        self._answers.append(StreamingResponse(self._hanging(frames), media_type="text/event-stream"))

    def cut(self, *frames: str) -> None:
        """Answers the next request with these frames, and then ends the connection."""
        self._answers.append(StreamingResponse(self._breaking(frames), media_type="text/event-stream"))

    async def _breaking(self, frames: Iterable[str]) -> AsyncIterator[str]:
        for frame in frames:
            yield frame
        raise ConnectionAbortedError

    async def _hanging(self, frames: Iterable[str]) -> AsyncIterator[str]:
        try:
            for frame in frames:
                yield frame
            await anyio.sleep_forever()
        finally:
            self.left.set()


@asynccontextmanager
async def upstream(*answers: Response) -> AsyncIterator[Upstream]:
    it = Upstream(*answers)
    app = Starlette(routes=[Route("/v1/chat/completions", it.complete, methods=["POST"])])
    async with served(app) as port:
        it.url = f"http://127.0.0.1:{port}/v1"
        yield it
