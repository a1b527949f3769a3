"""A reader whose process stops while Redis does not respond. The process may have less time left than a response of
Redis would take."""

from __future__ import annotations

from typing import cast

import anyio
import pytest

from api.relay.hub import Hub
from api.relay.inbox import Inbox
from api.relay.relay import RunReader
from shared.ledger.ledger import Ledger
from shared.log.event_log import EventLog
from shared.run.errors import Draining, Unavailable
from tests.api.links import Links

PATIENCE = 3_600.0


class SilentLog:
    async def read(self, run_id: str, after: int) -> list[object]:
        await anyio.sleep_forever()
        return []


class AbsentLog:
    async def read(self, run_id: str, after: int) -> list[object]:
        raise Unavailable


@pytest.mark.parametrize("log", [SilentLog(), AbsentLog()])
async def test_a_reader_is_told_that_its_process_stops_although_redis_is_away(log: SilentLog | AbsentLog) -> None:
    hub = Hub(Links().client, resting="resting")
    reader = RunReader("run", Inbox(), hub, cast("EventLog", log), cast("Ledger", None), after=0)
    raised: list[Draining] = []

    async def read() -> None:
        try:
            await reader.batch(PATIENCE)
        except Draining as why:
            raised.append(why)

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        await anyio.wait_all_tasks_blocked()
        hub.end()
    assert raised
