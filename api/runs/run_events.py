"""Makes a response that streams a run's events, from the place that the client names."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response

from api.http.endpoint import EVENT_STREAM, ResponseOf
from api.intake.run_access import RunAccess
from api.intake.run_parameters import AFTER, LAST_EVENT_ID
from api.relay.event_stream import EventStreamResponse, event_frames
from api.relay.relay import RunReader
from shared.run.run import Run

EVENTS = {
    200: ResponseOf(
        None,
        """\
Server-Sent Events. Each has the number of the run's event as `id:`, its kind as `event:` (lifecycle, assistant, tool,
call, reasoning, usage) and the event as JSON in `data:`. `event: error` gives the reason when the stream ends before
the run.""",
        EVENT_STREAM,
    ),
    204: ResponseOf(None, "The run has ended, and the client has all its events."),
}


class Follow(Protocol):
    def __call__(self, run_id: str, *, after: int) -> AbstractAsyncContextManager[tuple[Run, RunReader]]:
        """The run, and a reader of its events above `after`."""
        ...


async def events_response(request: Request, run_id: str, access: RunAccess, follow: Follow) -> Response:
    """Streams the events above `Last-Event-ID`, or else above `after`. Responds 204 when the run has ended and no event
    is left."""
    place = LAST_EVENT_ID if LAST_EVENT_ID.text(request) else AFTER
    after = place.of(request)
    head = await access.check_cursor(run_id, after, place.name)
    if head.end is not None and after == head.seq:
        return Response(status_code=204)  # otherwise a browser's EventSource would connect again for ever
    async with AsyncExitStack() as owned:
        _, reader = await owned.enter_async_context(follow(run_id, after=after))
        headers = {"X-Run-Id": run_id}
        return EventStreamResponse(event_frames(reader), owned.pop_all(), headers, over=lambda: reader.ended)
