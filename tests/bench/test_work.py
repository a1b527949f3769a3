from __future__ import annotations

import time

import pytest

from bench.work import Work, check, emit_deltas, stamps


async def emitted(work: Work) -> list[str]:
    return [delta async for delta in emit_deltas(work)]


@pytest.mark.parametrize("work", [Work(1), Work(200), Work(1_200, stamped=False)])
async def test_what_is_said_is_a_whole_answer(work: Work) -> None:
    check("".join(await emitted(work)), work)


async def test_a_message_tells_the_work() -> None:
    work = Work(3, interval=0.5, hold_until=7.5, linger=2.5, stamped=False)
    assert Work.of(work.message) == work


async def test_stamps_are_moments_of_the_monotonic_clock() -> None:
    before = time.monotonic()
    moments = stamps("".join(await emitted(Work(5))))
    assert len(moments) == 5
    assert moments == sorted(moments)
    assert before <= moments[0] <= moments[-1] <= time.monotonic()


@pytest.mark.parametrize("stamped", [True, False])
@pytest.mark.parametrize("spoil", ["missing", "repeated", "swapped", "more"])
async def test_an_answer_with_a_fault_is_refused(stamped: bool, spoil: str) -> None:
    work = Work(5, stamped=stamped)
    deltas = await emitted(work)
    spoilt = {
        "missing": deltas[:2] + deltas[3:],
        "repeated": [*deltas[:2], *deltas[1:]],
        "swapped": [deltas[1], deltas[0], *deltas[2:]],
        "more": [*deltas, "!"],
    }[spoil]
    with pytest.raises(ValueError, match="a wrong answer"):
        check("".join(spoilt), work)
