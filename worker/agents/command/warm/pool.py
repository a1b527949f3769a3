"""The waiting processes of one agent: those ready for any session, and those kept for their own session.

Rule 1: a process that has had a turn belongs to the session of that turn for good. `take_kept` returns it to no other
session, and it never becomes one of the ready processes again.
Rule 2: the caller that takes a process owns it, and passes it to `keep` or closes it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable

import anyio
import structlog
from anyio.abc import TaskGroup

from shared.run.errors import RunError
from worker.agents.cleanup import to_its_end
from worker.agents.command.command_config import Warm
from worker.agents.command.warm.warm_process import WarmProcess

logger = structlog.get_logger()

REST_SECONDS = 1.0  # before the next start: the process that a run has just taken needs the CPU more
MOST_PATIENCE = 60.0  # seconds between two starts at most, when one process after the other ends by itself

Key = tuple[str, str]  # agent and session


class _Waiting:
    """A process, and the task that watches it."""

    def __init__(self, process: WarmProcess) -> None:
        self.process = process
        self.taken = False
        self.scope = anyio.CancelScope()
        self.left = anyio.Event()  # by the watcher

    async def take(self) -> WarmProcess:
        self.taken = True
        self.scope.cancel()
        try:
            await self.left.wait()
        except asyncio.CancelledError:
            await to_its_end(self._discard(), name="end of a process that was about to be taken")
            raise
        return self.process

    async def _discard(self) -> None:
        await self.left.wait()
        await self.process.close()


class Pool:
    """Works while `run` runs in a task of its own. Waiting processes end with `run`."""

    def __init__(
        self, name: str, warm: Warm, start: Callable[[], Awaitable[WarmProcess]], *, rest: float = REST_SECONDS
    ) -> None:
        """`start` returns a process that belongs to no session; it may raise RunError or OSError."""
        self._name = name
        self._warm = warm
        self._start = start
        self._rest = rest
        self._took = False  # whether a run took a process since the last start
        self._ready: list[_Waiting] = []
        self._kept: OrderedDict[Key, _Waiting] = OrderedDict()  # the one used last comes last
        self._missing = anyio.Event()
        self._failures = 0  # in a row: processes that did not start, or ended before their first turn
        self._watchers: TaskGroup

    @property
    def ready(self) -> int:
        return len(self._ready)

    @property
    def kept(self) -> int:
        return len(self._kept)

    async def run(self) -> None:
        """Keeps as many processes ready as the settings demand, until it is cancelled. Then ends all that wait."""
        async with anyio.create_task_group() as self._watchers:
            while True:
                self._missing = anyio.Event()
                if len(self._ready) >= self._warm.ready:
                    await self._missing.wait()
                    continue
                await anyio.sleep(self._pause())
                try:
                    self._wait(_Waiting(await self._start()))
                except (RunError, OSError) as failure:
                    self._failures += 1
                    logger.warning("agent.not_ready", agent=self._name, why=repr(failure))

    def _pause(self) -> float:
        """Seconds until the next start."""
        took, self._took = self._took, False
        if self._failures:
            return min(2.0**self._failures, MOST_PATIENCE)
        return self._rest if took else 0

    async def take_ready(self) -> WarmProcess | None:
        while self._ready:
            waiting = self._ready.pop(0)
            self._took = True
            self._missing.set()
            process = await waiting.take()
            if process.usable:
                self._failures = 0
                return process
            await process.close()
        return None

    async def take_kept(self, key: Key) -> WarmProcess | None:
        waiting = self._kept.pop(key, None)
        return await waiting.take() if waiting else None

    async def keep(self, key: Key, process: WarmProcess) -> None:
        """Keeps a process for its session. Closes it if it is not usable any more or has had its last turn. The process
        that has waited longest makes room."""
        if not process.usable or process.turns >= self._warm.turns or not self._warm.kept:
            await process.close()
            return
        if earlier := await self.take_kept(key):
            await earlier.close()
        waiting = self._kept[key] = _Waiting(process)
        self._watchers.start_soon(self._watch, waiting, self._warm.idle_seconds, name=f"kept {self._name}")
        if len(self._kept) > self._warm.kept:
            self._kept.popitem(last=False)[1].scope.cancel()

    def _wait(self, waiting: _Waiting) -> None:
        self._ready.append(waiting)
        self._watchers.start_soon(self._watch, waiting, None, name=f"ready {self._name}")

    async def _watch(self, waiting: _Waiting, seconds: float | None) -> None:
        """Watches a process until it is taken, is not usable any more, or has waited for `seconds`."""
        try:
            with waiting.scope, anyio.move_on_after(seconds):
                await waiting.process.idle()
        finally:
            waiting.left.set()
            if not waiting.taken:
                await self._forget(waiting)

    async def _forget(self, waiting: _Waiting) -> None:
        for key in [key for key, one in self._kept.items() if one is waiting]:
            del self._kept[key]
        failed = waiting in self._ready and not waiting.process.usable
        self._ready = [one for one in self._ready if one is not waiting]
        if failed:
            self._failures += 1
        self._missing.set()
        await waiting.process.close()
        if failed:
            logger.warning("agent.not_ready", agent=self._name, why=await waiting.process.child.errors())
