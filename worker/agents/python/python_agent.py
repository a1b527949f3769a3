"""Agents of kind `python`: a function in the worker's own process."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import aclosing, contextmanager
from functools import partial
from operator import attrgetter
from pathlib import Path

from shared.run.errors import ErrorCode, RunError, SettingsError
from worker.agents.cleanup import closing
from worker.agents.jsonl import AgentEventParser
from worker.agents.protocol import AgentEvent, AgentInput
from worker.agents.python.agent_loops import Loops
from worker.agents.python.frameworks.known import adapted, missing
from worker.agents.python.tasks import CLOSE_SECONDS, in_task
from worker.agents.python.threads import in_thread

Function = Callable[[AgentInput], object]
Call = Callable[[], object]


class PythonAgent:
    """Calls a function with the input and yields the events of its results: text, or values as `jsonl` describes.

    An async function or async generator runs in one of `loops`, any other function in a thread. When the run is
    stopped, the former is cancelled and has CLOSE_SECONDS for its cleanup; the latter is left to itself. The agent
    raises the exceptions of the function.
    """

    def __init__(self, function: Function, loops: Loops, *, close_seconds: float = CLOSE_SECONDS) -> None:
        self._function = function
        self._is_async = _is_async(function)
        self._loops = loops
        self._close_seconds = close_seconds

    async def run(self, input: AgentInput) -> AsyncGenerator[AgentEvent, None]:
        parser = AgentEventParser()
        async with aclosing(self._values(input)) as values:
            async for value in values:
                for event in parser.parse_value(value):
                    yield event

    def _values(self, input: AgentInput) -> AsyncGenerator[object, None]:
        name = f"agent {input.agent_id} {input.run_id}"
        call = partial(self._function, input)
        return self._in_loop(call, name) if self._is_async else self._in_thread(call, name)

    def _in_loop(self, call: Call, name: str) -> AsyncGenerator[object, None]:
        return in_task(_flat(call), loops=self._loops, name=name, close_seconds=self._close_seconds)

    async def _in_thread(self, call: Call, name: str) -> AsyncGenerator[object, None]:
        async with aclosing(in_thread(_results(call), name=name)) as results:
            async for result in results:
                if isinstance(result, Awaitable | AsyncIterator):  # an ordinary function may return either
                    async with aclosing(self._in_loop(partial(_same, result), name)) as values:
                        async for value in values:
                            yield value
                else:
                    yield result


def imported(entry: str) -> Function:
    """The function that `module:attribute` names, or one that runs the named agent of a known framework.

    It also searches the current directory, which stays on the module path: agents live beside the service. Raises
    SettingsError.
    """
    module, _, attribute = entry.partition(":")
    here = str(Path.cwd())
    if not {"", here} & set(sys.path):
        sys.path.insert(0, here)
    try:
        found: object = attrgetter(attribute)(importlib.import_module(module))
        function = adapted(found) or found
    except (ImportError, SyntaxError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise SettingsError(f"entry: {entry} cannot be imported: {reason}{missing(error)}") from error
    except SettingsError as wrong:
        raise SettingsError(f"entry: {entry} {wrong}") from wrong
    if not callable(function):
        raise SettingsError(f"entry: {entry} is not callable but of type {type(function).__name__}")
    return function


def _is_async(function: Function) -> bool:
    candidates = (function, getattr(function, "__call__", None))  # noqa: B004 - an object may have an async __call__
    return any(inspect.iscoroutinefunction(f) or inspect.isasyncgenfunction(f) for f in candidates)


def _results(call: Call) -> Generator[object, None, None]:
    with _no_exit():
        result = call()
        if isinstance(result, Iterator):
            yield from result
        else:
            yield result


async def _flat(call: Call) -> AsyncGenerator[object, None]:
    """The result, awaited if it is an awaitable, and iterated if it is an async iterator."""
    with _no_exit():
        result = call()
        value = await result if isinstance(result, Awaitable) else result
        if isinstance(value, AsyncIterator):
            async with closing(value) as items:
                async for item in items:
                    yield item
        else:
            yield value


def _same(result: object) -> object:
    return result


@contextmanager
def _no_exit() -> Iterator[None]:
    """Turns an exit of the agent into RunError: the exception itself would end more than this run."""
    try:
        yield
    except (SystemExit, KeyboardInterrupt) as exit:
        raise RunError(ErrorCode.AGENT_FAILED, f"The agent raised {type(exit).__name__}.") from exit
