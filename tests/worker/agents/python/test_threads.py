from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import aclosing
from contextvars import ContextVar

import pytest

from tests.worker.agents.asking import until
from worker.agents.python.thread_channel import AHEAD
from worker.agents.python.threads import in_thread

spoken_language = ContextVar("spoken_language", default="none")


async def test_everything_happens_in_one_other_thread() -> None:
    """So thread-locals work, and so does a database connection that belongs to its thread."""

    def threads() -> Generator[int, None, None]:
        for _ in range(3):
            yield threading.get_ident()

    seen = [ident async for ident in in_thread(threads(), name="agent")]
    assert len(seen) == 3
    assert len({*seen, threading.get_ident()}) == 2


async def test_the_thread_is_not_far_ahead_of_its_reader() -> None:
    made: list[int] = []

    def numbers() -> Generator[int, None, None]:
        for number in range(10 * AHEAD):
            made.append(number)
            yield number

    async with aclosing(in_thread(numbers(), name="agent")) as items:
        assert await anext(items) == 0
        assert len(made) <= 2 * AHEAD + 1  # the items taken, those that wait, and one being made


async def test_what_is_raised_there_is_raised_here_after_what_was_said() -> None:
    def fails() -> Generator[str, None, None]:
        yield "first"
        raise LookupError("there")

    seen = []
    with pytest.raises(LookupError, match="there"):
        async for item in in_thread(fails(), name="agent"):
            seen.append(item)
    assert seen == ["first"]


async def test_the_context_goes_with_it() -> None:
    spoken_language.set("Welsh")

    def languages() -> Generator[str, None, None]:
        yield spoken_language.get()

    assert [language async for language in in_thread(languages(), name="agent")] == ["Welsh"]


async def test_an_abandoned_thread_closes_its_items_at_the_next_one_and_ends() -> None:
    may_go_on, closed = threading.Event(), threading.Event()

    def items() -> Generator[int, None, None]:
        try:
            yield 1
            may_go_on.wait()
            yield 2
        finally:
            closed.set()

    async with aclosing(in_thread(items(), name="abandoned agent")) as reading:
        assert await anext(reading) == 1
    assert not closed.is_set()
    may_go_on.set()
    await until(closed.is_set)
    await until(lambda: "abandoned agent" not in {thread.name for thread in threading.enumerate()})


async def test_no_thread_keeps_the_process_alive() -> None:
    may_end = threading.Event()

    def daemons() -> Generator[bool, None, None]:
        yield threading.current_thread().daemon
        may_end.wait()

    async with aclosing(in_thread(daemons(), name="agent")) as reading:
        assert await anext(reading)
    may_end.set()
