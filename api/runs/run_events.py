"""A run's events as a response, from the place on that the client names."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response

from api.http.query import number
from api.intake.submission import Submission
from api.relay.event_stream import EventStreamResponse, event_frames
from api.relay.relay import RunReader
from shared.run.run import Run


class Follow(Protocol):
    def __call__(self, run_id: str, *, after: int) -> AbstractAsyncContextManager[tuple[Run, RunReader]]:
        """The run, and a reader of its events above `after`."""
        ...


async def events_response(request: Request, run_id: str, submission: Submission, follow: Follow) -> Response:
    """From `Last-Event-ID`, or else `after`, on. 204 when there is nothing left to come."""
    given, name = request.headers.get("last-event-id"), "Last-Event-ID"
    if not given:
        given, name = request.query_params.get("after"), "after"
    after = number(given, name)
    head = await submission.place(run_id, after, name)
    if head.end is not None and after == head.seq:
        return Response(status_code=204)  # a browser's EventSource comes back for ever, but for this
    async with AsyncExitStack() as owned:
        _, reader = await owned.enter_async_context(follow(run_id, after=after))
        headers = {"X-Run-Id": run_id}
        return EventStreamResponse(event_frames(reader), owned.pop_all(), headers, over=lambda: reader.ended)
