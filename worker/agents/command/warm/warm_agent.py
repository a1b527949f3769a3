"""Agents of kind `command` with `warm`: the CLI is started before it is needed, and kept for its session's next turn.

Nothing is shared between sessions: no process and no directory. A process that fails, is stopped, or knows something
else than its session's history says, is ended, and another one is told the whole conversation. A session's turns may
well be done by different workers: the history shows a process that it has missed one.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, closing
from pathlib import Path

from anyio import to_thread

from shared.run.errors import RunError
from worker.agents.cleanup import to_its_end
from worker.agents.command.command_agent import CommandAgent
from worker.agents.command.warm.driver_registry import DRIVERS
from worker.agents.command.warm.pool import REST_SECONDS, Key, Pool
from worker.agents.command.warm.ready_folder import ReadyFolder, sweep
from worker.agents.command.warm.warm_process import WarmProcess
from worker.agents.command.workdir import folder_name, session_folder
from worker.agents.config import CommandConfig, Warm
from worker.agents.presets import SESSION_WORKDIR
from worker.agents.protocol import AgentEvent, AgentInput

SWEEP_SECONDS = 3_600.0  # at least, between two looks for what others have left


class Starter:
    """Starts processes, each in a directory where no other session has worked.

    A process has no variables that name its run or session: when it starts it may have none, and later ones cannot be
    told.
    """

    def __init__(self, command: CommandAgent, config: CommandConfig, work_root: Path) -> None:
        self._command = command
        self._format = config.output
        self._limits = config.limits
        self._language = DRIVERS[config.output]
        self._swept_at = -math.inf
        self._root = work_root if config.workdir == SESSION_WORKDIR else None  # None: all work in the same directory

    async def ahead(self) -> WarmProcess:
        """For a session that is not known yet. Raises OSError besides RunError."""
        async with AsyncExitStack() as holds:
            fresh = holds.enter_context(closing(await self._fresh(self._root))) if self._root else None
            return await self._start(holds, None, fresh)

    async def _fresh(self, root: Path) -> ReadyFolder:
        if self._swept_at + SWEEP_SECONDS < time.monotonic():
            await to_thread.run_sync(sweep, root)
            self._swept_at = time.monotonic()
        return ReadyFolder(root)

    async def for_session(self, input: AgentInput) -> WarmProcess:
        async with AsyncExitStack() as holds:
            return await self._start(holds, await self._folder(holds, input), None)

    def can_assign(self, input: AgentInput) -> bool:
        """Whether a process that was started ahead may serve the session: it cannot work in a directory that is
        already there, unless it can be told."""
        return self._root is None or self._language.can_change_folder or not (self._root / _name(input)).exists()

    async def settle(self, process: WarmProcess, input: AgentInput) -> bool:
        """Makes a process that was started ahead the session's. False when the session has a directory meanwhile."""
        lasting = input.named_session
        if (
            process.fresh
            and not self._language.can_change_folder
            and not process.fresh.become(_name(input), lasting=lasting)
        ):
            return False
        process.folder = await self._folder(process.holds, input)
        return True

    async def explained(self, failure: RunError, process: WarmProcess) -> RunError:
        return await self._command.explained(failure, process.child)

    async def _folder(self, holds: AsyncExitStack, input: AgentInput) -> Path | None:
        """The session's, which stays in use until the process has ended."""
        if self._root is None:
            return None
        return await holds.enter_async_context(session_folder(self._root, input.session_key))

    async def _start(self, holds: AsyncExitStack, folder: Path | None, fresh: ReadyFolder | None) -> WarmProcess:
        command = self._command.start(stdin="open", folder=fresh.path if fresh else folder)
        async with AsyncExitStack() as running:
            child = await running.enter_async_context(command)
            driver = self._language.driver()
            return WarmProcess(
                child,
                driver,
                self._format,
                running.pop_all(),
                holds.pop_all(),
                folder=folder,
                fresh=fresh,
                check=self._limits.check,
            )


def _name(input: AgentInput) -> str:
    return folder_name(input.session_key)


class WarmAgent:
    """Fails as a `CommandAgent` does."""

    def __init__(self, starter: Starter, pool: Pool) -> None:
        self._starter = starter
        self.pool = pool

    async def run(self, input: AgentInput) -> AsyncGenerator[AgentEvent, None]:
        process = await self._process(input)
        try:
            async with aclosing(process.turn(input)) as speech:
                async for spoken in speech:
                    yield spoken
        except RunError as failure:
            raise await self._starter.explained(failure, process) from None
        finally:
            await to_its_end(self._leave(process, input), name=f"end of turn {input.run_id}")

    async def _process(self, input: AgentInput) -> WarmProcess:
        """One that knows the session's history, or nothing."""
        kept = await self.pool.take_kept(_key(input))
        if kept and kept.usable and kept.transcript and kept.transcript.is_continued_by(input):
            return kept
        if kept:
            await kept.close()  # before another one works in its directory
        ready = await self.pool.take_ready() if self._starter.can_assign(input) else None
        if ready and await self._settled(ready, input):
            return ready
        return await self._starter.for_session(input)

    async def _settled(self, ready: WarmProcess, input: AgentInput) -> bool:
        """Whether a process has become the session's. Otherwise it is ended."""
        settled = False
        try:
            settled = await self._starter.settle(ready, input)
        finally:
            if not settled:
                await to_its_end(ready.close(), name=f"end of a process that was ready for {input.run_id}")
        return settled

    async def _leave(self, process: WarmProcess, input: AgentInput) -> None:
        if input.named_session:
            await self.pool.keep(_key(input), process)
        else:
            await process.close()


def _key(input: AgentInput) -> Key:
    return input.agent_id, input.session_key


@asynccontextmanager
async def open_warm(
    name: str,
    command: CommandAgent,
    config: CommandConfig,
    warm: Warm,
    work_root: Path,
    *,
    rest: float = REST_SECONDS,
) -> AsyncIterator[WarmAgent]:
    """On leaving, no process is left."""
    starter = Starter(command, config, work_root)
    pool = Pool(name, warm, starter.ahead, rest=rest)
    # Not a task group: it would wrap what is raised while the agent is open.
    keeping = asyncio.create_task(pool.run(), name=f"warm {name}")
    try:
        yield WarmAgent(starter, pool)
    finally:
        keeping.cancel()
        await to_its_end(_ended(keeping), name=f"end of warm {name}")


async def _ended(task: asyncio.Task[None]) -> None:
    await asyncio.wait({task})
