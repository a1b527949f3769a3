"""A run as one chat completion: folds the events that a stream would show into one response."""

from __future__ import annotations

from starlette.responses import Response

from api.chat.chat_view import ChatFold
from api.http import api_errors
from api.relay.event_stream import KEEP_ALIVE_SECONDS
from api.relay.relay import RunReader
from shared.redis.keys import JOIN_WINDOW_MS
from shared.run.clock import now_ms
from shared.run.errors import Draining, LogLost
from shared.run.run import Run

REJOIN_MS = JOIN_WINDOW_MS - 60_000  # less than the window: the next try takes time to arrive, and clocks differ


async def completion_response(run: Run, reader: RunReader, fold: ChatFold, *, repeatable: bool) -> Response:
    """The completion. Raises ApiError when the run fails or is cancelled, and when this process cannot read it to its
    end.

    `repeatable`: another try of the request would join the run, as long as the run is young. While this process stops,
    the error then tells the client to try again, and another process sends the completion.
    """
    while True:
        try:
            events = await reader.batch(KEEP_ALIVE_SECONDS)
        except (LogLost, Draining) as why:
            again = repeatable and isinstance(why, Draining) and now_ms() - run.created_ms < REJOIN_MS
            raise api_errors.reading_ended(run.run_id, why, again=again) from None
        for event in events:
            if completion := fold.feed(event):
                headers = {"Content-Type": api_errors.JSON, **api_errors.run_headers(run.run_id)}
                return Response(completion, headers=headers)
