from __future__ import annotations

import asyncio

import anyio
import pytest

from worker.agents.cleanup import to_its_end


class Work:
    def __init__(self) -> None:
        self.begun, self.may_end, self.done = anyio.Event(), anyio.Event(), False

    async def do(self) -> None:
        self.begun.set()
        await self.may_end.wait()
        self.done = True


async def test_work_outlasts_every_cancellation_of_its_task() -> None:
    work = Work()
    task = asyncio.create_task(to_its_end(work.do(), name="work"))
    await work.begun.wait()
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    assert not task.done()
    work.may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert work.done


async def test_work_outlasts_a_cancelled_scope() -> None:
    work = Work()
    async with anyio.create_task_group() as tasks:
        with anyio.CancelScope() as scope:
            tasks.start_soon(_release, work, scope)
            await to_its_end(work.do(), name="work")
    assert work.done


async def _release(work: Work, scope: anyio.CancelScope) -> None:
    await work.begun.wait()
    scope.cancel()
    await anyio.lowlevel.checkpoint()
    work.may_end.set()


async def test_what_the_work_raises_is_raised() -> None:
    async def fails() -> None:
        raise LookupError("here")

    with pytest.raises(LookupError, match="here"):
        await to_its_end(fails(), name="work")
