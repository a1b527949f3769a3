"""A client that disconnects before its response is ready."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
from starlette.requests import Request
from starlette.responses import Response

from api.http import api_errors
from shared.run.errors import RunrelayError


async def while_connected(request: Request, answer: Callable[[], Awaitable[Response]]) -> Response:
    """The response that `answer` returns. When the client disconnects first, cancels `answer` and returns an empty
    response, which reaches no client."""
    answers: list[Response] = []
    problems: list[api_errors.ApiError | RunrelayError] = []

    async def get_answer(scope: anyio.CancelScope) -> None:
        try:
            answers.append(await answer())
        except (api_errors.ApiError, RunrelayError) as problem:  # raised outside, where the task group does not wrap it
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
