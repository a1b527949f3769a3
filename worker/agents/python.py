"""Agents of kind `python`: a function in the worker's own process."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import aclosing, asynccontextmanager
from operator import attrgetter
from pathlib import Path

import anyio

from shared.errors import ErrorCode, RunError, SettingsError
from worker.agents.cleanup import to_its_end
from worker.agents.jsonl import Speech
from worker.agents.protocol import AgentInput, Spoken
from worker.agents.threads import in_thread

CLOSE_SECONDS = 5.0  # for what an agent's own generator does when it is closed early

Function = Callable[[AgentInput], object]


class PythonAgent:
    """Calls a function with the input and says what it returns or yields: text, or what `jsonl` describes.

    An async function or async generator runs in the event loop; anything else runs in a thread. One that is
    stopped gets its cancellation, or its generator is closed, within CLOSE_SECONDS; what runs in a thread is
    left to itself. What the function raises is raised.
    """

    def __init__(self, function: Function) -> None:
        self._function = function
        self._in_loop = _is_async(function)

    async def run(self, input: AgentInput) -> AsyncGenerator[Spoken, None]:
        speech = Speech()
        try:
            async with aclosing(_flat(self._results(input))) as values:
                async for value in values:
                    for spoken in speech.value(value):
                        yield spoken
        except SystemExit as exit:
            # Let through, it would end the worker and all its runs.
            raise RunError(ErrorCode.AGENT_FAILED, "The agent called exit().") from exit

    def _results(self, input: AgentInput) -> AsyncGenerator[object, None]:
        if self._in_loop:
            return _one(self._function, input)
        return in_thread(_called(self._function, input), name=f"agent {input.agent_id} {input.run_id}")


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
    async with aclosing(results):
        async for result in results:
            value = await result if isinstance(result, Awaitable) else result
            if isinstance(value, AsyncIterator):
                async with _closing(value):
                    async for item in value:
                        yield item
            else:
                yield value


@asynccontextmanager
async def _closing(items: AsyncIterator[object]) -> AsyncIterator[None]:
    try:
        yield
    finally:
        if isinstance(items, AsyncGenerator):
            await to_its_end(_close(items), name="close of an agent's generator")


async def _close(items: AsyncGenerator[object, None]) -> None:
    with anyio.move_on_after(CLOSE_SECONDS):
        await items.aclose()
