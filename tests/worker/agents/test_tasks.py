from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import anyio
import pytest

from worker.agents.tasks import in_task


async def test_the_task_is_not_ahead_of_its_reader() -> None:
    made: list[int] = []

    async def numbers() -> AsyncGenerator[int, None]:
        for number in range(100):
            made.append(number)
            yield number

    async with aclosing(in_task(numbers(), name="agent")) as items:
        assert await anext(items) == 0
        assert len(made) <= 2  # the one that was read, and the next


async def test_what_is_raised_there_is_raised_here_after_what_was_said() -> None:
    async def fails() -> AsyncGenerator[str, None]:
        yield "first"
        raise LookupError("there")

    seen = []
    with pytest.raises(LookupError, match="there"):
        async for item in in_task(fails(), name="agent"):
            seen.append(item)
    assert seen == ["first"]


@pytest.mark.parametrize("read", [1, 3])
async def test_a_task_group_may_be_open_while_items_are_yielded(read: int) -> None:
    """anyio wants it left in the task that entered it, which a generator read from anywhere cannot promise."""

    async def grouped() -> AsyncGenerator[int, None]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.sleep_forever)
            for number in range(3):
                yield number
            tasks.cancel_scope.cancel()

    items = in_task(grouped(), name="agent")
    for number in range(read):
        assert await asyncio.create_task(anext_of(items)) == number
    await items.aclose()


async def anext_of(items: AsyncGenerator[int, None]) -> int:
    return await anext(items)


async def test_the_task_is_cancelled_once() -> None:
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
        async for _ in in_task(cleans(), name="agent"):
            scope.cancel()
    assert awaits == 3
