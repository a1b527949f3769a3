"""Event loops for the code of agents, each in a thread of its own.

When an agent blocks such a loop, for example for a minute, the event loop of the worker goes on: it renews leases,
claims runs and writes events. One loop serves all agents, because clients and pools of connections, which agents share,
belong to one loop. Another loop replaces it only when it is found blocked because a run in it could not be stopped.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from contextvars import Context

import structlog
import uvloop
from anyio import to_thread

from shared.observe.logging import log_errors_of

logger = structlog.get_logger()

MOST = 4  # loops at once: when as many are blocked, later runs wait for the last
CLOSE_SECONDS = 2.0  # for the tasks that are left in a loop at its end


class Loop:
    """An event loop in a daemon thread: a blocked one does not keep a stopping worker alive."""

    def __init__(self, name: str) -> None:
        self.blocked = False  # the loop has not reacted to a call; set by the caller
        self._loop = uvloop.new_event_loop()
        log_errors_of(self._loop)
        self._running = 0  # tasks
        self._retired = self._ended = False
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def call(self, function: Callable[[], None], *, context: Context | None = None) -> None:
        """Has the loop call `function` as soon as it can. Calls keep their order."""
        with suppress(RuntimeError):  # the loop was retired and is closed: no task is left in it
            self._loop.call_soon_threadsafe(function, context=context)

    def create_task(self, work: Coroutine[object, object, None], *, name: str) -> asyncio.Task[None]:
        """Starts a task. May be called only in the loop's own thread."""
        task = self._loop.create_task(work, name=name)
        self._running += 1
        task.add_done_callback(self._count_down)
        return task

    def retire(self) -> None:
        """Ends the loop when its tasks have ended. It gets no more tasks."""
        self._retired = True
        self.call(self._end_if_idle)

    def place(self) -> str:
        """The place in the code where the loop's thread is: its innermost calls."""
        frame = sys._current_frames().get(self._thread.ident or 0)
        calls = traceback.extract_stack(frame, limit=3) if frame else []
        return " > ".join(f"{call.filename}:{call.lineno} {call.name}" for call in calls)

    async def close(self) -> None:
        """Cancels the tasks that are left. Does not wait for a blocked loop."""
        self.call(self._end)
        if not self.blocked:
            await to_thread.run_sync(self._thread.join, CLOSE_SECONDS)

    def _serve(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            while not self._ended:
                try:
                    runner.get_loop().run_forever()
                except (SystemExit, KeyboardInterrupt) as exit:
                    # From a task that an agent has started. It would end the loop, and with the loop all its runs.
                    logger.error("agent.exits", exc_info=exit)

    def _count_down(self, _: asyncio.Task[None]) -> None:
        self._running -= 1
        self._end_if_idle()

    def _end_if_idle(self) -> None:
        if self._retired and not self._running:
            self._end()

    def _end(self) -> None:
        self._ended = True
        self._loop.stop()


class Loops:
    """All loops of a worker. It makes none before a run needs one."""

    def __init__(self) -> None:
        self._loops: list[Loop] = []  # the last one is in use

    def current(self) -> Loop:
        """The loop for the next run."""
        self._loops = [loop for loop in self._loops if loop.alive]
        if not self._loops:
            self._loops.append(Loop("agents"))
        elif self._loops[-1].blocked and len(self._loops) < MOST:
            self._loops[-1].retire()
            self._loops.append(Loop("agents"))
        return self._loops[-1]

    async def close(self) -> None:
        for loop in self._loops:
            await loop.close()


@asynccontextmanager
async def opened_loops() -> AsyncIterator[Loops]:
    """The loops of a worker. The block has to outlast the runs."""
    loops = Loops()
    try:
        yield loops
    finally:
        await loops.close()
