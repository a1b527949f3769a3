from __future__ import annotations

import anyio
import pytest

from shared.redis.retry import retry_until_available
from shared.run.errors import Fenced, Unavailable


class Operation:
    """An operation that is unavailable the first `failures` times."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.times = 0

    async def __call__(self) -> str:
        self.times += 1
        if self.times <= self.failures:
            raise Unavailable
        return "done"


async def test_an_act_that_is_answered_is_done_once() -> None:
    operation = Operation(0)
    assert await retry_until_available(operation) == "done"
    assert operation.times == 1


async def test_an_act_is_repeated_until_redis_answers() -> None:
    operation = Operation(3)
    assert await retry_until_available(operation) == "done"
    assert operation.times == 4


async def test_any_other_error_is_an_answer() -> None:
    calls = 0

    async def operation() -> None:
        nonlocal calls
        calls += 1
        raise Fenced

    with pytest.raises(Fenced):
        await retry_until_available(operation)
    assert calls == 1


async def test_patience_has_no_end_but_that_of_whoever_waits() -> None:
    operation = Operation(1_000_000)
    with anyio.move_on_after(0.3) as scope:
        await retry_until_available(operation)
    assert scope.cancelled_caught
    assert operation.times < 20  # it waits between two tries
