from __future__ import annotations

import pytest

from shared.errors import Fenced
from shared.events import Tool
from shared.log import Head
from shared.pipe import Pipe
from tests.broker import KEYS
from tests.events import RUN_ID, deltas, head_after, said
from worker.counted_log import CountedLog


async def test_deltas_that_are_in_the_log_are_counted(pipe: Pipe) -> None:
    log = CountedLog(pipe, KEYS, retention_ms=60_000)
    await log.fence(RUN_ID, 1)
    events = [*deltas("a", "b"), *said(Tool(phase="start", name="t"), first=3)]
    await log.append(events, head_after(events))
    assert log.deltas == 2


async def test_what_the_log_refuses_is_not(pipe: Pipe) -> None:
    log = CountedLog(pipe, KEYS, retention_ms=60_000)
    await log.fence(RUN_ID, 2)
    with pytest.raises(Fenced):
        await log.append(deltas("a"), Head(1, 1))
    assert log.deltas == 0
