from __future__ import annotations

import time

import anyio
import anyio.lowlevel

from api.lag import Lag
from tests.wait import wait_until

HELD_SECONDS = 0.3


async def test_what_holds_up_the_loop_is_seen_once() -> None:
    lag, seen = Lag(), list[float]()

    def looked() -> bool:
        seen.append(lag.longest_ms())
        return seen[-1] > HELD_SECONDS * 500

    async with anyio.create_task_group() as group:
        group.start_soon(lag.watch_forever)
        await anyio.lowlevel.checkpoint()
        time.sleep(HELD_SECONDS)  # noqa: ASYNC251 - this is it
        await wait_until(looked, "the loop was seen held up")
        group.cancel_scope.cancel()
    assert lag.longest_ms() < HELD_SECONDS * 500
