from __future__ import annotations

import time

import anyio
import anyio.lowlevel

from shared.observe.loop_lag import LoopLag
from shared.observe.supervision import Beat
from tests.wait import wait_until

LOOK, BLOCK = 0.01, 0.06


async def test_what_blocks_the_loop_is_seen() -> None:
    lags: list[float] = []
    async with anyio.create_task_group() as group:
        group.start_soon(LoopLag(lags.append, look_seconds=LOOK).watch_forever, Beat())
        await wait_until(lambda: lags, "the watch has measured once")
        time.sleep(BLOCK)  # noqa: ASYNC251 - the test must block the loop
        await wait_until(lambda: max(lags) >= BLOCK - LOOK, "the block was seen")
        group.cancel_scope.cancel()
    assert min(lags) >= 0


async def test_the_longest_is_told_once() -> None:
    lag = LoopLag(look_seconds=LOOK)
    async with anyio.create_task_group() as group:
        group.start_soon(lag.watch_forever, Beat())
        await anyio.lowlevel.checkpoint()
        time.sleep(BLOCK)  # noqa: ASYNC251 - the test must block the loop
        await wait_until(lambda: lag._longest >= BLOCK - LOOK, "the block was seen")
        group.cancel_scope.cancel()
    assert lag.longest_ms() >= (BLOCK - LOOK) * 1000
    assert lag.longest_ms() == 0
