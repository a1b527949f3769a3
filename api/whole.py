"""A run as one answer: the same events as a stream's, folded, for a client that may leave or run out of patience."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
from starlette.requests import Request
from starlette.responses import Response

from api import failures
from api.chat import ChatFold
from api.relay import Reader
from api.streaming import KEEP_ALIVE_SECONDS
from shared.conclusion import now_ms
from shared.errors import Draining, LogLost, RunrelayError
from shared.keys import JOIN_WINDOW_MS
from shared.run import Run

REJOIN_MS = JOIN_WINDOW_MS - 60_000  # less than the window: the next try takes its time, and clocks differ


async def folded(run: Run, reader: Reader, fold: ChatFold, *, repeatable: bool) -> Response:
    """The completion. Raises Failure when the run ends in any other way.

    `repeatable`: another try of the request would join the run, as long as the run is young. A client of a process that
    stops is then told to try again, and gets its answer from another one.
    """
    while True:
        try:
            events = await reader.batch(KEEP_ALIVE_SECONDS)
        except (LogLost, Draining) as why:
            again = repeatable and isinstance(why, Draining) and now_ms() - run.created_ms < REJOIN_MS
            raise failures.reading_ended(run.run_id, why, again=again) from None
        for event in events:
            if completion := fold.feed(event):
                headers = {"Content-Type": failures.JSON, **failures.run_headers(run.run_id)}
                return Response(completion, headers=headers)


async def while_connected(request: Request, answer: Callable[[], Awaitable[Response]]) -> Response:
    """The answer; an empty one, which nobody reads, as soon as the client has left."""
    answers: list[Response] = []
    problems: list[failures.Failure | RunrelayError] = []

    async def get_answer(scope: anyio.CancelScope) -> None:
        try:
            answers.append(await answer())
        except (failures.Failure, RunrelayError) as problem:  # raised outside, where no group wraps it
            problems.append(problem)
        scope.cancel()

    async with anyio.create_task_group() as first:
        first.start_soon(get_answer, first.cancel_scope, name="answer")
        while (await request.receive())["type"] != "http.disconnect":
            continue
        first.cancel_scope.cancel()
    if problems:
        raise problems[0]
    return answers[0] if answers else Response(status_code=499)
