"""A run's events as a response: frames as they come, comments while nothing comes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from api import sse
from api.chat import ChatStream
from api.failures import Failure, run_failed
from api.relay import Reader
from shared.errors import ErrorCode, LogLost

KEEP_ALIVE_SECONDS = 10.0  # proxies cut a silent response after 30 to 60


class FollowingResponse(StreamingResponse):
    """A stream that owns what it reads from, and lets go of it however the response ends."""

    def __init__(self, frames: AsyncIterator[bytes], owned: AsyncExitStack, headers: Mapping[str, str]) -> None:
        super().__init__(frames, headers={**sse.HEADERS, **headers})
        self._owned = owned

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._owned:
            await super().__call__(scope, receive, send)


async def chat_frames(reader: Reader, chat: ChatStream) -> AsyncIterator[bytes]:
    """Frames that are ready at once leave in one piece. The first goes out before the agent starts."""
    yield sse.comment("connected") + chat.begin()
    while not chat.done:
        try:
            events = await reader.batch(KEEP_ALIVE_SECONDS)
        except LogLost:
            yield chat.fail(lost(reader.run_id))
            return
        frames = b"".join(chat.feed(event) for event in events)
        if frames or not events:
            yield frames or sse.comment("keep-alive")


def lost(run_id: str) -> Failure:
    return run_failed(run_id, ErrorCode.RUN_LOST, "Redis lost what it had confirmed.")
