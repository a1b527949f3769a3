"""Agents of kind `command` with `warm`: the CLI starts before a run needs it, and waits for its session's next turn.

Sessions share nothing: no process and no directory. The agent ends a process that fails, is stopped, or knows another
conversation than its session's history, and another process gets the whole conversation. Different workers may do the
turns of one session: the history shows when a process has missed a turn.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, closing
from pathlib import Path

import structlog
from anyio import to_thread

from shared.run.errors import RunError
from worker.agents.cleanup import to_its_end
from worker.agents.command.command_agent import CommandAgent
from worker.agents.command.command_config import CommandConfig, Warm
from worker.agents.command.presets import SESSION_WORKDIR
from worker.agents.command.warm.driver import PromptRefused
from worker.agents.command.warm.driver_registry import DRIVERS
from worker.agents.command.warm.pool import REST_SECONDS, Key, Pool
from worker.agents.command.warm.ready_folder import ReadyFolder, sweep
from worker.agents.command.warm.warm_process import WarmProcess
from worker.agents.command.workdir import folder_name, session_folder
from worker.agents.protocol import AgentEvent, AgentInput

logger = structlog.get_logger()

SWEEP_SECONDS = 3_600.0  # at least, between two searches for directories of killed workers


class Starter:
    """Starts processes, each in a directory where no other session has worked.

    A process has no variables that name its run or session: it may have no session when it starts, and the environment
    of a running process cannot change.
    """

    def __init__(self, command: CommandAgent, config: CommandConfig, work_root: Path) -> None:
        self._command = command
        self._format = config.output
        self._limits = config.limits
        self._spec = DRIVERS[config.output]
        self._swept_at = -math.inf
        self._root = work_root if config.workdir == SESSION_WORKDIR else None  # None: all work in the same directory

    async def ahead(self) -> WarmProcess:
        """A process for a session that is not known yet. Raises OSError besides RunError."""
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
        """Whether a process that was started ahead may serve the session. When the session has a directory already,
        only a CLI that can change its directory may."""
        return self._root is None or self._spec.can_change_folder or not (self._root / _name(input)).exists()

    async def assign_to_session(self, process: WarmProcess, input: AgentInput) -> bool:
        """Gives a process that was started ahead to the session. Returns False when the session got a directory
        meanwhile."""
        lasting = input.named_session
        if (
            process.fresh
            and not self._spec.can_change_folder
            and not process.fresh.become(_name(input), lasting=lasting)
        ):
            return False
        process.folder = await self._folder(process.holds, input)
        return True

    async def explained(self, failure: RunError, process: WarmProcess) -> RunError:
        return await self._command.explained(failure, process.child)

    async def _folder(self, holds: AsyncExitStack, input: AgentInput) -> Path | None:
        """The session's directory, which stays in use until the process has ended."""
        if self._root is None:
            return None
        return await holds.enter_async_context(session_folder(self._root, input.session_key))

    async def _start(self, holds: AsyncExitStack, folder: Path | None, fresh: ReadyFolder | None) -> WarmProcess:
        command = self._command.start(stdin="open", folder=fresh.path if fresh else folder)
        async with AsyncExitStack() as running:
            child = await running.enter_async_context(command)
            driver = self._spec.driver()
            return WarmProcess(
                child,
                driver,
                self._format,
                running.pop_all(),
                holds.pop_all(),
                folder=folder,
                fresh=fresh,
                check=self._limits.check,
                listener=self._command.listener,
            )


def _name(input: AgentInput) -> str:
    return folder_name(input.session_key)


class WarmAgent:
    """Runs each turn in a process of its session. Fails as a `CommandAgent` does."""

    def __init__(self, starter: Starter, pool: Pool) -> None:
        self._starter = starter
        self.pool = pool

    async def run(self, input: AgentInput) -> AsyncGenerator[AgentEvent, None]:
        try:
            async with aclosing(self._turn(await self._process(input), input)) as events:
                async for event in events:
                    yield event
        except PromptRefused as refused:
            logger.info("agent.prompt_refused", run=input.run_id, why=refused.detail or refused.message)
            async with aclosing(self._turn(await self._starter.for_session(input), input)) as events:
                async for event in events:
                    yield event

    async def _turn(self, process: WarmProcess, input: AgentInput) -> AsyncGenerator[AgentEvent, None]:
        try:
            async with aclosing(process.turn(input)) as events:
                async for event in events:
                    yield event
        except PromptRefused:
            raise
        except RunError as failure:
            raise await self._starter.explained(failure, process) from None
        finally:
            await to_its_end(self._leave(process, input), name=f"end of turn {input.run_id}")

    async def _process(self, input: AgentInput) -> WarmProcess:
        """A process that knows the session's history, or that knows nothing yet."""
        kept = await self.pool.take_kept(_key(input))
        if kept and kept.usable and kept.transcript and kept.transcript.is_continued_by(input):
            return kept
        if kept:
            await kept.close()  # before another one works in its directory
        ready = await self.pool.take_ready() if self._starter.can_assign(input) else None
        if ready and await self._assigned(ready, input):
            return ready
        return await self._starter.for_session(input)

    async def _assigned(self, ready: WarmProcess, input: AgentInput) -> bool:
        """Whether the process belongs to the session now. Otherwise it is ended."""
        assigned = False
        try:
            assigned = await self._starter.assign_to_session(ready, input)
        finally:
            if not assigned:
                await to_its_end(ready.close(), name=f"end of a process that was ready for {input.run_id}")
        return assigned

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
    """The agent, while the block lasts. No process is left at its end."""
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
