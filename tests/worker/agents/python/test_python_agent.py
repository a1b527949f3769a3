from __future__ import annotations

import asyncio
import functools
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path

import anyio
import pytest

from shared.run.errors import ErrorCode, RunError, SettingsError
from shared.run.events import Delta, ToolUse
from tests.worker.agents.asking import answer, asked, said, until
from worker.agents.protocol import AgentInput
from worker.agents.python.agent_loops import Loops
from worker.agents.python.python_agent import PythonAgent, imported


def returns(input: AgentInput) -> str:
    return f"{input.message}!"


def generates(input: AgentInput) -> Iterator[str]:
    yield from (input.message, "!")


async def awaits(input: AgentInput) -> str:
    await anyio.lowlevel.checkpoint()
    return f"{input.message}!"


async def streams(input: AgentInput) -> AsyncIterator[str]:
    yield input.message
    await anyio.lowlevel.checkpoint()
    yield "!"


async def returns_a_stream(input: AgentInput) -> AsyncIterator[str]:
    return streams(input)


def decorated(input: AgentInput) -> object:
    """An async function inside a decorator's ordinary function, which does not look asynchronous."""
    return awaits(input)


class Object:
    async def __call__(self, input: AgentInput) -> str:
        return f"{input.message}!"

    def method(self, input: AgentInput) -> str:
        return f"{input.message}!"


@pytest.mark.parametrize(
    "function",
    [
        returns,
        generates,
        awaits,
        streams,
        returns_a_stream,
        decorated,
        lambda input: iter([input.message, "!"]),
        lambda input: streams(input),
        functools.partial(awaits),
        Object(),
        Object().method,
    ],
)
async def test_anything_that_can_be_called_may_answer(function: object, loops: Loops) -> None:
    assert callable(function)
    assert await answer(PythonAgent(function, loops), asked("Hi")) == "Hi!"


async def test_text_and_events_may_be_mixed(loops: Loops) -> None:
    async def mixed(_: AgentInput) -> AsyncIterator[object]:
        yield "a"
        yield {"stream": "tool", "data": {"phase": "start", "name": "ls"}}
        yield {"message": True}
        yield "b"

    assert await said(PythonAgent(mixed, loops)) == [
        Delta(delta="a"),
        ToolUse(phase="start", name="ls"),
        Delta(delta="b", message=1),
    ]


async def test_no_answer_is_no_text(loops: Loops) -> None:
    assert await said(PythonAgent(lambda _: None, loops)) == []


@pytest.mark.parametrize("value", [42, b"bytes", ["a", "list"], object()], ids=lambda value: type(value).__name__)
async def test_a_value_of_the_wrong_type_breaks_the_protocol(value: object, loops: Loops) -> None:
    with pytest.raises(RunError, match=f"type {type(value).__name__}") as failure:
        await said(PythonAgent(lambda _: value, loops))
    assert failure.value.code is ErrorCode.AGENT_PROTOCOL_ERROR


@pytest.mark.parametrize("in_loop", [True, False])
async def test_what_the_function_raises_is_raised(in_loop: bool, loops: Loops) -> None:
    def fails(_: AgentInput) -> str:
        raise LookupError("mine")

    async def fails_too(_: AgentInput) -> str:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await said(PythonAgent(fails_too if in_loop else fails, loops))


@pytest.mark.parametrize("in_loop", [True, False])
async def test_an_agent_that_exits_does_not_end_the_worker(in_loop: bool, loops: Loops) -> None:
    def exits(_: AgentInput) -> str:
        sys.exit(3)

    async def exits_too(_: AgentInput) -> str:
        sys.exit(3)

    with pytest.raises(RunError) as failure:
        await said(PythonAgent(exits_too if in_loop else exits, loops))
    assert failure.value.code is ErrorCode.AGENT_FAILED


@pytest.mark.parametrize("in_loop", [True, False])
async def test_a_blocking_function_does_not_block_the_worker(in_loop: bool, loops: Loops) -> None:
    """The function waits for the worker's event loop, so it ends only because that loop goes on."""
    may_end = threading.Event()

    def blocks(_: AgentInput) -> str:
        may_end.wait()
        return "done"

    async def blocks_too(_: AgentInput) -> str:
        may_end.wait()
        return "done"

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_set, may_end)
        assert await answer(PythonAgent(blocks_too if in_loop else blocks, loops)) == "done"


async def _set(event: threading.Event) -> None:
    await anyio.lowlevel.checkpoint()
    event.set()


async def test_a_cancelled_blocking_function_is_left_to_itself(loops: Loops) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def blocks(_: AgentInput) -> str:
        begun.set()
        may_end.wait()
        return "too late"

    task = asyncio.create_task(said(PythonAgent(blocks, loops)))
    await until(begun.is_set)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    may_end.set()


class Careful:
    """An async generator whose cleanup takes a moment."""

    def __init__(self) -> None:
        self.begun, self.cleaned = threading.Event(), False

    async def speak(self, _: AgentInput) -> AsyncIterator[str]:
        try:
            yield "a"
            self.begun.set()
            await anyio.sleep_forever()
        finally:
            await asyncio.sleep(0.01)
            self.cleaned = True


async def test_a_closed_agent_has_cleaned_up(loops: Loops) -> None:
    careful = Careful()
    async with aclosing(PythonAgent(careful.speak, loops).run(asked())) as events:
        assert await anext(events) == Delta(delta="a")
    assert careful.cleaned


async def test_a_cancelled_agent_has_cleaned_up(loops: Loops) -> None:
    careful = Careful()
    task = asyncio.create_task(said(PythonAgent(careful.speak, loops)))
    await until(careful.begun.is_set)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert careful.cleaned


async def test_an_agent_in_a_cancelled_scope_has_cleaned_up(loops: Loops) -> None:
    """The worker stops runs by cancelling a scope, and an agent's author need not know anyio's rules for it."""
    careful = Careful()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(said, PythonAgent(careful.speak, loops))
        await until(careful.begun.is_set)
        tasks.cancel_scope.cancel()
    assert careful.cleaned


async def test_an_async_agent_may_start_processes(loops: Loops) -> None:
    """Only the main thread gets signals, and the agent's event loop is in another one."""

    async def starts(_: AgentInput) -> str:
        done = await anyio.run_process(["/bin/echo", "started"])
        return done.stdout.decode()

    assert await answer(PythonAgent(starts, loops)) == "started\n"


async def test_an_agent_is_found_beside_the_service(tmp_path: Path, loops: Loops) -> None:
    function = imported("examples.python.echo:reply")
    assert await answer(PythonAgent(function, loops), asked("one two")) == "one two "


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("no_such_module:reply", "No module named 'no_such_module'"),
        ("examples.python.echo:repyl", "no attribute 'repyl'"),
        ("examples.python.echo:__doc__", "not callable but of type str"),
    ],
)
def test_an_entry_that_cannot_be_used_is_told_in_one_line(entry: str, expected: str) -> None:
    with pytest.raises(SettingsError) as wrong:
        imported(entry)
    assert expected in str(wrong.value)
    assert str(wrong.value).startswith(f"entry: {entry} ")
    assert "\n" not in str(wrong.value)
