"""Agents of kind `python`: a function in the worker's own process."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from operator import attrgetter
from pathlib import Path

from shared.errors import ErrorCode, RunError, SettingsError
from worker.agents.jsonl import Speech
from worker.agents.protocol import AgentInput, Spoken
from worker.agents.tasks import CLOSE_SECONDS, in_task
from worker.agents.threads import in_thread

Function = Callable[[AgentInput], object]


class PythonAgent:
    """Calls a function with the input and says what it returns or yields: text, or what `jsonl` describes.

    An async function or async generator runs in the event loop, anything else in a thread. When it is stopped, the
    former is cancelled and has CLOSE_SECONDS for its cleanup; the latter is left to itself. What the function raises
    is raised.
    """

    def __init__(self, function: Function, *, close_seconds: float = CLOSE_SECONDS) -> None:
        self._function = function
        self._in_loop = _is_async(function)
        self._close_seconds = close_seconds

    async def run(self, input: AgentInput) -> AsyncGenerator[Spoken, None]:
        speech = Speech()
        name = f"agent {input.agent_id} {input.run_id}"
        call = _one(self._function, input) if self._in_loop else in_thread(_called(self._function, input), name=name)
        async with aclosing(in_task(_flat(call), name=name, close_seconds=self._close_seconds)) as values:
            async for value in values:
                for spoken in speech.value(value):
                    yield spoken


def imported(entry: str) -> Function:
    """The function that `module:attribute` names. Raises SettingsError.

    The current directory is searched too, and stays on the module path: agents live beside the service.
    """
    module, _, attribute = entry.partition(":")
    here = str(Path.cwd())
    if not {"", here} & set(sys.path):
        sys.path.insert(0, here)
    try:
        function: object = attrgetter(attribute)(importlib.import_module(module))
    except (ImportError, SyntaxError, AttributeError) as error:
        raise SettingsError(f"entry: {entry} cannot be imported: {' '.join(str(error).split())}") from error
    if not callable(function):
        raise SettingsError(f"entry: {entry} is not callable but of type {type(function).__name__}")
    return function


def _is_async(function: Function) -> bool:
    candidates = (function, getattr(function, "__call__", None))  # noqa: B004 - an object may have an async __call__
    return any(inspect.iscoroutinefunction(f) or inspect.isasyncgenfunction(f) for f in candidates)


async def _one(function: Function, input: AgentInput) -> AsyncGenerator[object, None]:
    yield function(input)


def _called(function: Function, input: AgentInput) -> Generator[object, None, None]:
    result = function(input)
    if isinstance(result, Iterator):
        yield from result
    else:
        yield result


async def _flat(results: AsyncGenerator[object, None]) -> AsyncGenerator[object, None]:
    """The results, awaited and iterated where they can be."""
    try:
        async with aclosing(results):
            async for result in results:
                value = await result if isinstance(result, Awaitable) else result
                if isinstance(value, AsyncIterator):
                    async with _closing(value):
                        async for item in value:
                            yield item
                else:
                    yield value
    except SystemExit as exit:
        # Let through, it would end the worker and all its runs.
        raise RunError(ErrorCode.AGENT_FAILED, "The agent called exit().") from exit


def _closing(items: AsyncIterator[object]) -> AbstractAsyncContextManager[object]:
    return aclosing(items) if isinstance(items, AsyncGenerator) else nullcontext()
