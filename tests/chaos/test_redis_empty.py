"""A Redis that comes back without its data: the one fault for which runs are lost. Their readers must be told."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path
from random import Random

import anyio

from chaos.clients import Client
from chaos.history import Asked
from chaos.script import Order, script
from chaos.service import running
from chaos.web import opened
from tests.wait import wait_until


async def test_whoever_reads_a_run_that_redis_has_lost_is_told_and_new_runs_are_taken(tmp_path: Path) -> None:
    async with running(tmp_path, apis=1, workers=1) as service, opened(service.urls, Random(1)) as web:
        lost = Client(web, Random(1), Asked(Order(1, "abandoned"), keyed=True))
        reading = await lost.submit()
        async with anyio.create_task_group() as group:
            group.start_soon(lost.read, reading, "events")
            await wait_until(lambda: any(len(piece.seqs) > 2 for piece in reading.pieces), "the agent speaks")
            await service.valkey.end(signal.SIGKILL)
            shutil.rmtree(tmp_path / "appendonlydir")
            await service.valkey.start()
        assert reading.outcome == "run_lost"
        assert reading.faults == []
        after = Client(web, Random(2), Asked(Order(2, "short"), keyed=True))
        await after.read(after.reading(), "chat")
        assert after.asked.readings[0].pieces[-1].text == script(Order(2, "short")).text
        assert await service.stop() == []
