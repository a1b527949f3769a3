from __future__ import annotations

import subprocess
import sys

import anyio
import pytest
from structlog.testing import capture_logs

from shared.observe import supervision
from shared.observe.supervision import Beat, CannotGoOn, Loop, Supervisor, first_of
from tests.wait import wait_until


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Failures:
    def __init__(self) -> None:
        self.loops: list[str] = []

    def loop_failed(self, loop: str) -> None:
        self.loops.append(loop)


class MadeUp(Exception):
    """Nobody foresaw it."""


@pytest.mark.parametrize(
    "why", [MadeUp(), ValueError(), MemoryError(), ExceptionGroup("two", [ValueError(), OSError()])]
)
async def test_whatever_a_loop_raises_it_is_started_again_and_the_others_go_on(why: Exception) -> None:
    failures, rounds = Failures(), 0
    supervisor = Supervisor(failures)

    async def stumble(_: Beat) -> None:
        nonlocal rounds
        rounds += 1
        if rounds <= 2:
            raise why
        await anyio.sleep_forever()

    steps = 0

    async def walk(beat: Beat) -> None:
        nonlocal steps
        while True:
            steps += 1
            await beat.sleep(0.01)

    with capture_logs() as lines:
        async with anyio.create_task_group() as group:
            group.start_soon(supervisor.keep, Loop("stumbles", stumble))
            group.start_soon(supervisor.keep, Loop("walks", walk))
            await wait_until(lambda: rounds == 3 and steps > 3, "it was started again")
            assert supervisor.stalled() == []
            group.cancel_scope.cancel()
    assert failures.loops == ["stumbles"] * 2
    assert [line["loop"] for line in lines] == ["stumbles"] * 2
    assert [line["exc_info"] for line in lines] == [why, None]  # its traceback once


async def test_a_loop_that_does_not_beat_is_stalled() -> None:
    clock = Clock()
    supervisor = Supervisor(clock=clock)
    async with anyio.create_task_group() as group:
        group.start_soon(supervisor.keep, Loop("hangs", lambda _: anyio.sleep_forever(), quiet=30))
        group.start_soon(supervisor.keep, Loop("takes its time", lambda _: anyio.sleep_forever(), quiet=900))
        await anyio.wait_all_tasks_blocked()
        clock.now += 30
        assert supervisor.stalled() == []
        clock.now += 1
        assert supervisor.stalled() == ["hangs"]
        group.cancel_scope.cancel()
    assert supervisor.stalled() == []


async def test_a_loop_that_fails_for_too_long_is_stalled_although_it_beats() -> None:
    clock, failures = Clock(), Failures()
    supervisor = Supervisor(failures, clock=clock)

    async def fails(beat: Beat) -> None:
        beat()
        raise MadeUp

    async with anyio.create_task_group() as group:
        group.start_soon(supervisor.keep, Loop("fails", fails))
        await wait_until(lambda: len(failures.loops) == 1, "it has failed")
        assert supervisor.stalled() == []
        clock.now += supervision.FAILING_SECONDS + 1
        await wait_until(lambda: len(failures.loops) >= 2, "it has failed again")
        assert supervisor.stalled() == ["fails"]
        group.cancel_scope.cancel()


async def test_a_loop_that_has_recovered_is_not_stalled() -> None:
    clock, failures, steps = Clock(), Failures(), 0
    supervisor = Supervisor(failures, clock=clock)

    async def fails_once(beat: Beat) -> None:
        nonlocal steps
        if not failures.loops:
            raise MadeUp
        while True:
            steps += 1
            await beat.sleep(0.001)

    async with anyio.create_task_group() as group:
        group.start_soon(supervisor.keep, Loop("recovers", fails_once))
        await wait_until(lambda: len(failures.loops) == 1, "it has failed")
        clock.now += supervision.FAILING_SECONDS + 1
        await wait_until(lambda: steps > 1, "it goes on")
        clock.now += supervision.STEADY_SECONDS + 1
        assert supervisor.stalled() == []
        group.cancel_scope.cancel()


async def test_a_process_that_cannot_go_on_gives_up_in_words() -> None:
    clock = Clock()
    supervisor = Supervisor(clock=clock)
    with pytest.raises(BaseExceptionGroup) as given_up:
        async with anyio.create_task_group() as group:
            group.start_soon(supervisor.keep, Loop("hangs", lambda _: anyio.sleep_forever()))
            group.start_soon(supervisor.give_up_when_stuck)
            while True:
                await anyio.sleep(supervision.LOOK_SECONDS / 2)
                clock.now += supervision.GIVE_UP_SECONDS
    why = first_of(given_up.value)
    assert isinstance(why, CannotGoOn)
    assert "hangs" in str(why)


async def test_a_loop_that_waits_for_an_event_beats_meanwhile() -> None:
    beat, event = Beat(), anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(beat.until, event)
        await anyio.wait_all_tasks_blocked()
        event.set()


UNFORESEEN = """
import anyio
from shared.observe.supervision import ending_in_words

async def fails():
    raise KeyError("made up")

async def main():
    async with anyio.create_task_group() as group:
        group.start_soon(fails)

with ending_in_words():
    anyio.run(main)
"""


@pytest.mark.slow
def test_a_process_that_nobody_foresaw_to_end_says_why_in_its_last_line() -> None:
    done = subprocess.run([sys.executable, "-c", UNFORESEEN], capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1] == "runrelay: ended by KeyError, which nobody foresaw"
