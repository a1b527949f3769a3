from __future__ import annotations

import asyncio
import threading
from contextlib import aclosing

import pytest

from worker.agents.python.thread_channel import AHEAD, ThreadChannel


def never() -> None:
    raise AssertionError("there was room")


async def test_items_come_in_order_and_then_the_end() -> None:
    channel = ThreadChannel[int](never)
    for number in range(10):
        assert channel.put(number)
    channel.end(None)
    assert [item async for item in channel.read()] == list(range(10))


async def test_an_error_comes_after_what_was_said() -> None:
    channel, received = ThreadChannel[str](never), []
    channel.put("first")
    channel.end(LookupError("there"))
    with pytest.raises(LookupError, match="there"):
        async for item in channel.read():
            received.append(item)
    assert received == ["first"]


async def test_a_waiting_reader_is_woken_by_another_thread() -> None:
    channel = ThreadChannel[str](never)
    async with aclosing(channel.read()) as items:
        for _ in range(3):
            reading = asyncio.create_task(_next(items))
            await asyncio.sleep(0)
            threading.Thread(target=channel.put, args=("said",)).start()
            assert await reading == "said"
        reading = asyncio.create_task(_next(items, None))
        await asyncio.sleep(0)
        threading.Thread(target=channel.end, args=(None,)).start()
        assert await reading is None


async def _next(items: object, *default: None) -> object:
    return await anext(items, *default)  # type: ignore[call-overload]


async def test_a_speaker_that_is_far_ahead_is_told_once_when_there_is_room() -> None:
    calls: list[int] = []
    channel = ThreadChannel[int](lambda: calls.append(1))
    assert [channel.put(number) for number in range(AHEAD)] == [True] * (AHEAD - 1) + [False]
    async with aclosing(channel.read()) as items:
        assert await anext(items) == 0
        assert calls == [1]
        assert channel.put(AHEAD)
        assert [await anext(items) for _ in range(AHEAD)] == list(range(1, AHEAD + 1))
    assert calls == [1]


async def test_nothing_is_lost_between_two_threads_however_they_meet() -> None:
    room = threading.Semaphore(0)
    channel = ThreadChannel[int](room.release)

    def speak() -> None:
        for number in range(20 * AHEAD):
            if not channel.put(number):
                room.acquire()
        channel.end(None)

    threading.Thread(target=speak).start()
    assert [item async for item in channel.read()] == list(range(20 * AHEAD))


async def test_a_speaker_whose_reader_has_left_never_waits() -> None:
    room: list[int] = []
    channel = ThreadChannel[int](lambda: room.append(1))
    while channel.put(0):
        pass
    channel.leave()
    assert channel.left
    assert room == [1]
    assert all(channel.put(number) for number in range(2 * AHEAD))


@pytest.mark.parametrize("ends", [True, False])
async def test_the_end_may_be_waited_for(ends: bool) -> None:
    channel = ThreadChannel[int](never)
    channel.put(1)
    channel.leave()
    if ends:
        waiting = asyncio.create_task(channel.end_within(60))
        await asyncio.sleep(0)
        threading.Thread(target=channel.end, args=(None,)).start()
        assert await waiting
    else:
        assert not await channel.end_within(0.01)


def test_a_forgotten_event_loop_may_be_closed() -> None:
    async def abandoned() -> ThreadChannel[int]:
        channel = ThreadChannel[int](never)
        channel.leave()
        channel.forget()
        return channel

    channel = asyncio.run(abandoned())
    channel.put(1)
    channel.end(None)
