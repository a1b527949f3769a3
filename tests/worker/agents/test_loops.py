from __future__ import annotations

import sys
import threading
from collections.abc import Callable

from structlog.testing import capture_logs

from tests.worker.agents.asking import until
from worker.agents.loops import MOST, Loop, Loops, opened_loops


def names() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


async def called(loop: Loop, function: Callable[[], object]) -> object:
    """What the function returns in the loop."""
    results: list[object] = []
    loop.call(lambda: results.append(function()))
    await until(lambda: results)
    return results[0]


async def test_all_runs_share_one_loop_in_a_thread_of_its_own(loops: Loops) -> None:
    loop = loops.free()
    assert loops.free() is loop
    assert await called(loop, threading.get_ident) != threading.get_ident()


async def test_no_thread_is_started_before_it_is_needed_and_none_is_left() -> None:
    async with opened_loops() as loops:
        assert "agents 0" not in names()
        loops.free()
        assert "agents 0" in names()
    assert "agents 0" not in names()


async def test_a_blocked_loop_is_passed_over_until_it_is_free_again(loops: Loops) -> None:
    first = loops.free()
    first.blocked = True
    second = loops.free()
    assert second is not first
    first.blocked = False
    assert loops.free() is first


async def test_the_number_of_loops_is_bounded(loops: Loops) -> None:
    seen = []
    for _ in range(MOST + 2):
        loop = loops.free()
        loop.blocked = True
        seen.append(loop)
    assert len(set(seen)) == MOST
    assert len(set(seen[MOST - 1 :])) == 1
    for loop in set(seen):
        loop.blocked = False


async def test_the_place_where_it_is_blocked_is_known(loops: Loops) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def thinks_for_long() -> None:
        begun.set()
        may_end.wait()

    loop = loops.free()
    loop.call(thinks_for_long)
    await until(begun.is_set)
    assert " thinks_for_long > " in loop.place()
    may_end.set()


async def test_an_exit_in_it_ends_neither_the_loop_nor_the_process(loops: Loops) -> None:
    loop = loops.free()
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
        loop = loops.free()
        loop.call(blocks)
        await until(begun.is_set)
        loop.blocked = True
    assert "agents 0" in names()
    may_end.set()
    await until(lambda: "agents 0" not in names())
