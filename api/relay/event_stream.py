"""A run's events as an HTTP response: frames while events arrive, SSE comments while none arrive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack

import anyio
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from api.http import sse
from api.http.api_errors import reading_ended
from api.relay.relay import RunReader
from shared.run.errors import Draining, LogLost
from shared.run.events import is_terminal, to_json

KEEP_ALIVE_SECONDS = 10.0  # proxies cut a silent response after 30 to 60


class EventStreamResponse(StreamingResponse):
    """A streaming response that owns the resources it reads from. It releases them however the response ends.

    A client that disconnects cancels the response, as in Starlette. Starlette uses a task group for that, which makes
    a short run cost this process some 4 % more.
    """

    def __init__(
        self,
        frames: AsyncIterator[bytes],
        owned: AsyncExitStack,
        headers: Mapping[str, str],
        *,
        over: Callable[[], bool],
    ) -> None:
        """`over` returns whether the frames that `frames` yielded last are the final ones."""
        super().__init__(frames, headers={**sse.HEADERS, **headers})
        self._owned = owned
        self._over = over

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._owned:
            with anyio.CancelScope() as staying:
                leaving = asyncio.create_task(self.listen_for_disconnect(receive), name="client-leaving")
                leaving.add_done_callback(left := lambda _: staying.cancel())
                try:
                    await self.stream_response(send)
                finally:
                    leaving.remove_done_callback(left)
                    leaving.cancel()

    async def stream_response(self, send: Send) -> None:
        """Sends the last frames and the end of the response in one message."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        more = True
        async for frames in self.body_iterator:
            more = not self._over()
            await send({"type": "http.response.body", "body": frames, "more_body": more})
        if more:
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def event_frames(reader: RunReader) -> AsyncIterator[bytes]:
    """The run's events as SSE frames with `seq` as their id, for clients of runrelay's own API."""
    yield sse.comment("connected")
    while True:
        try:
            events = await reader.batch(KEEP_ALIVE_SECONDS)
        except (LogLost, Draining) as why:
            yield sse.event("error", reading_ended(reader.run_id, why).body)
            return
        frames = b"".join(sse.event(event.stream, to_json(event), id=event.seq) for event in events)
        yield frames or sse.comment("keep-alive")
        if any(map(is_terminal, events)):
            return
