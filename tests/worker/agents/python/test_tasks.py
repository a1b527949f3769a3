from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from contextvars import ContextVar

import anyio
import pytest
from structlog.testing import capture_logs

from tests.worker.agents.asking import until
from worker.agents.python.agent_loops import Loops
from worker.agents.python.tasks import in_task
from worker.agents.python.thread_channel import AHEAD

spoken_language = ContextVar("spoken_language", default="none")


async def endless(made: list[int]) -> AsyncGenerator[int, None]:
    while True:
        made.append(len(made))
        yield made[-1]


async def test_the_task_is_not_far_ahead_of_its_reader(loops: Loops) -> None:
    made: list[int] = []
    async with aclosing(in_task(endless(made), loops=loops, name="agent")) as items:
        assert [await anext(items) for _ in range(3 * AHEAD)] == list(range(3 * AHEAD))
        assert len(made) <= 5 * AHEAD  # the items read, those taken with them, and those that wait


async def test_what_is_raised_there_is_raised_here_after_what_was_said(loops: Loops) -> None:
    async def fails() -> AsyncGenerator[str, None]:
        yield "first"
        raise LookupError("there")

    seen = []
    with pytest.raises(LookupError, match="there"):
        async for item in in_task(fails(), loops=loops, name="agent"):
            seen.append(item)
    assert seen == ["first"]


async def test_a_stray_cancellation_there_is_raised_here(loops: Loops) -> None:
    """It comes when the agent awaits a task of its own that was cancelled."""

    async def strays() -> AsyncGenerator[str, None]:
        yield "first"
        raise asyncio.CancelledError("of its own")

    with pytest.raises(asyncio.CancelledError, match="of its own"):
        async for _ in in_task(strays(), loops=loops, name="agent"):
            pass


async def test_the_context_goes_with_it(loops: Loops) -> None:
    async def languages() -> AsyncGenerator[str, None]:
        yield spoken_language.get()
        spoken_language.set("Breton")
        yield spoken_language.get()

    spoken_language.set("Welsh")
    assert [one async for one in in_task(languages(), loops=loops, name="agent")] == ["Welsh", "Breton"]
    assert spoken_language.get() == "Welsh"


@pytest.mark.parametrize("read", [1, 3])
async def test_a_task_group_may_be_open_while_items_are_yielded(read: int, loops: Loops) -> None:
    """anyio requires one task to enter and to leave a group. A generator that any task may read cannot promise that."""

    async def grouped() -> AsyncGenerator[int, None]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.sleep_forever)
            for number in range(3):
                yield number
            tasks.cancel_scope.cancel()

    items = in_task(grouped(), loops=loops, name="agent")
    for number in range(read):
        assert await asyncio.create_task(anext_of(items)) == number
    await items.aclose()


async def anext_of(items: AsyncGenerator[int, None]) -> int:
    return await anext(items)


async def test_the_task_is_cancelled_once(loops: Loops) -> None:
    awaits = 0

    async def cleans() -> AsyncGenerator[str, None]:
        nonlocal awaits
        try:
            yield "first"
            await anyio.sleep_forever()
        finally:
            for _ in range(3):
                await asyncio.sleep(0)
                awaits += 1

    with anyio.CancelScope() as scope:
        async for _ in in_task(cleans(), loops=loops, name="agent"):
            scope.cancel()
    assert awaits == 3


async def test_a_task_that_never_pauses_can_be_cancelled(loops: Loops) -> None:
    async with aclosing(in_task(endless([]), loops=loops, name="agent")) as items:
        assert await anext(items) == 0


async def test_a_task_that_does_not_want_to_end_is_left_to_itself(loops: Loops) -> None:
    may_end, ended = threading.Event(), threading.Event()

    async def stubborn() -> AsyncGenerator[str, None]:
        yield "a"
        while not may_end.is_set():
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0.001)
        ended.set()

    with capture_logs() as logs:
        async with aclosing(in_task(stubborn(), loops=loops, name="agent", close_seconds=0.01)) as items:
            assert await anext(items) == "a"
    assert [(entry["event"], entry["blocks"]) for entry in logs] == [("agent.stuck", False)]
    may_end.set()
    await until(ended.is_set)


async def blocking(begun: threading.Event, may_end: threading.Event) -> AsyncGenerator[str, None]:
    begun.set()
    may_end.wait()
    yield "done"


async def test_a_blocked_loop_costs_its_own_runs_and_no_later_one(loops: Loops) -> None:
    """The stopped run ends although its loop is blocked. Another run in that loop goes on as soon as the loop does."""
    begun, may_end, blocked = threading.Event(), threading.Event(), loops.current()
    stopped = asyncio.create_task(all_of(blocking(begun, may_end), loops, close_seconds=0.01))
    await until(begun.is_set)
    delayed = asyncio.create_task(all_of(says(), loops))
    await asyncio.sleep(0)
    with capture_logs() as logs:
        stopped.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stopped
    assert [(entry["event"], entry["task"], entry["blocks"]) for entry in logs] == [("agent.stuck", "agent", True)]
    assert " blocking > " in logs[0]["at"]
    assert await all_of(says(), loops) == ["said"]
    assert loops.current() is not blocked
    assert not delayed.done()
    may_end.set()
    assert await delayed == ["said"]
    await until(lambda: not blocked.alive)


async def says() -> AsyncGenerator[str, None]:
    yield "said"


async def all_of(items: AsyncGenerator[str, None], loops: Loops, *, close_seconds: float = 5) -> list[str]:
    async with aclosing(in_task(items, loops=loops, name="agent", close_seconds=close_seconds)) as received:
        return [item async for item in received]
