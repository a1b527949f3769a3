from __future__ import annotations

import pytest

from shared.log.event_log import Head
from shared.redis.pipe import Pipe
from shared.run.errors import Fenced
from shared.run.events import ToolUse
from tests.broker import KEYS
from tests.events import RUN_ID, deltas, head_after, said
from worker.attempt.counting_log import CountingLog


async def test_deltas_that_are_in_the_log_are_counted(pipe: Pipe) -> None:
    log = CountingLog(pipe, KEYS, retention_ms=60_000)
    await log.fence(RUN_ID, 1)
    events = [*deltas("a", "b"), *said(ToolUse(phase="start", name="t"), first=3)]
    await log.append(events, head_after(events))
    assert log.deltas == 2


async def test_what_the_log_refuses_is_not(pipe: Pipe) -> None:
    log = CountingLog(pipe, KEYS, retention_ms=60_000)
    await log.fence(RUN_ID, 2)
    with pytest.raises(Fenced):
        await log.append(deltas("a"), Head(1, 1))
    assert log.deltas == 0
