from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable

from structlog.testing import capture_logs

from tests.worker.agents.asking import until
from worker.agents.python.agent_loops import MOST, Loop, Loops, opened_loops


def names() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


async def called(loop: Loop, function: Callable[[], object]) -> object:
    """The result of the function, called in the loop."""
    results: list[object] = []
    loop.call(lambda: results.append(function()))
    await until(lambda: results)
    return results[0]


async def test_all_runs_share_one_loop_in_a_thread_of_its_own(loops: Loops) -> None:
    loop = loops.current()
    assert loops.current() is loop
    assert await called(loop, threading.get_ident) != threading.get_ident()


async def test_no_thread_is_started_before_it_is_needed_and_none_is_left() -> None:
    async with opened_loops() as loops:
        assert "agents" not in names()
        loops.current()
        assert "agents" in names()
    assert "agents" not in names()


async def test_a_blocked_loop_is_replaced_and_ends_when_its_tasks_have_ended(loops: Loops) -> None:
    """It is not used again: connections that agents share belong to the loop that made them."""
    may_end, ended = threading.Event(), threading.Event()
    first = loops.current()

    async def works() -> None:
        while not may_end.is_set():  # noqa: ASYNC110 - another thread sets it
            await asyncio.sleep(0.001)
        ended.set()

    await called(first, lambda: first.create_task(works(), name="a run"))
    first.blocked = True
    second = loops.current()
    assert second is not first
    assert loops.current() is second
    assert first.alive
    may_end.set()
    await until(lambda: not first.alive)
    assert ended.is_set()
    assert loops.current() is second


async def test_a_loop_that_has_ended_can_be_called_in_vain(loops: Loops) -> None:
    loop = loops.current()
    loop.retire()
    await until(lambda: not loop.alive)
    loop.call(lambda: None)
    assert loops.current() is not loop


async def test_the_number_of_loops_is_bounded(loops: Loops) -> None:
    may_end, seen = threading.Event(), []

    def waits() -> None:
        may_end.wait()

    for _ in range(MOST + 2):
        loop = loops.current()
        loop.call(waits)
        loop.blocked = True
        seen.append(loop)
    assert len(set(seen)) == MOST
    assert len(set(seen[MOST - 1 :])) == 1
    may_end.set()
    await until(lambda: not any(loop.alive for loop in seen[: MOST - 1]))
    assert loops.current() not in seen
    loops.current().blocked = False


async def test_the_place_where_it_is_blocked_is_known(loops: Loops) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def thinks_for_long() -> None:
        begun.set()
        may_end.wait()

    loop = loops.current()
    loop.call(thinks_for_long)
    await until(begun.is_set)
    assert " thinks_for_long > " in loop.place()
    may_end.set()


async def test_an_exit_in_it_ends_neither_the_loop_nor_the_process(loops: Loops) -> None:
    loop = loops.current()
    with capture_logs() as logs:
        loop.call(sys.exit)
        assert await called(loop, lambda: "goes on") == "goes on"
    assert [entry["event"] for entry in logs] == ["agent.exits"]


async def test_closing_does_not_wait_for_a_blocked_loop() -> None:
    begun, may_end = threading.Event(), threading.Event()

    def blocks() -> None:
        begun.set()
        may_end.wait()

    async with opened_loops() as loops:
        loop = loops.current()
        loop.call(blocks)
        await until(begun.is_set)
        loop.blocked = True
    assert "agents" in names()
    may_end.set()
    await until(lambda: "agents" not in names())
