"""A run as a stream of chat completion chunks: frames while events arrive, SSE comments while none arrive."""

from __future__ import annotations

from collections.abc import AsyncIterator

from api.chat.chat_view import ChatStream
from api.http import sse
from api.http.api_errors import reading_ended
from api.relay.event_stream import KEEP_ALIVE_SECONDS
from api.relay.relay import RunReader
from shared.run.errors import Draining, LogLost
from shared.run.events import Event, is_terminal


async def chat_frames(
    reader: RunReader, chat: ChatStream, *, after: int = 0, patience: float = KEEP_ALIVE_SECONDS
) -> AsyncIterator[bytes]:
    """Chat chunks of the events numbered above `after`. `reader` starts at the first event, because all of them are
    needed to join the messages.

    Frames that are ready at the same time leave in one piece. The first one leaves before the agent starts. A client
    that already has the run's last event gets `[DONE]` only.
    """
    yield sse.comment("connected") + (b"" if after else chat.begin())
    while not chat.done:
        try:
            events = await reader.batch(patience)
        except (LogLost, Draining) as why:
            yield chat.fail(reading_ended(reader.run_id, why))
            return
        frames = b"".join(_above(after, event, chat.feed(event)) for event in events)
        if frames or not events:
            yield frames or sse.comment("keep-alive")


def _above(after: int, event: Event, frames: bytes) -> bytes:
    if event.seq > after:
        return frames
    return sse.DONE if is_terminal(event) else b""
