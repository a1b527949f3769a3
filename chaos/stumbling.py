"""`python -m chaos.stumbling api` (or `worker`): that process as it is, except that SIGUSR2 makes one of its loops raise at
a random line of our code, which it reaches next.
"""

from __future__ import annotations

import linecache
import os
import runpy
import signal
import sys
from collections.abc import Coroutine, Iterator
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any, cast

from shared.observe.supervision import Beat, Loop, Supervisor

OURS = tuple(f"{Path(__file__).parents[1] / room}/" for room in ("api", "shared", "worker"))
LINES = 60  # at most so many lines on
STUMBLED = "nobody foresaw this"


class Stumbling:
    """Knows the loops of this process. A traced loop raises when it has executed so many more lines."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._running: dict[str, Coroutine[object, object, None]] = {}
        self._traced = set[FrameType]()
        self._lines = 0
        self._keep = Supervisor.keep

    async def keep(self, supervisor: Supervisor, loop: Loop) -> None:
        """In the place of `Supervisor.keep`, to which it passes the loop on."""

        async def run(beat: Beat) -> None:
            self._running[loop.name] = running = cast("Coroutine[object, object, None]", loop.run(beat))
            await running

        await self._keep(supervisor, Loop(loop.name, run, loop.quiet))

    def stumble(self, _signal: int, _frame: FrameType | None) -> None:
        if self._running:
            self._traced = set(_frames(self._running[self._random.choice(sorted(self._running))]))
            self._lines = self._random.randint(1, LINES)
            sys.settrace(self._enter)

    def _enter(self, frame: FrameType, _event: str, _argument: object) -> Any:
        """Python calls it for each frame that begins or goes on."""
        called = frame.f_back in self._traced and frame.f_code.co_filename.startswith(OURS)
        if not called and frame not in self._traced:
            return None
        self._traced.add(frame)
        return self._line

    def _line(self, frame: FrameType, event: str, _argument: object) -> Any:
        self._lines -= event == "line"
        if self._lines <= 0 and not _may_leave_block(frame):
            sys.settrace(None)
            self._traced = set()
            raise self._random.choice((RuntimeError, KeyError, ValueError, AttributeError, OSError))(STUMBLED)
        return self._line


def _may_leave_block(frame: FrameType) -> bool:
    """Whether this may be the end of a `with` block: Python reports its first line once more, and an exception that a
    trace function raises there would leave the block without its exit, as no other exception does."""
    return linecache.getline(frame.f_code.co_filename, frame.f_lineno).lstrip().startswith(("with ", "async with "))


def _frames(coroutine: object) -> Iterator[FrameType]:
    """The frames of a coroutine that waits, from the outermost on."""
    while frame := getattr(coroutine, "cr_frame", None):
        yield frame
        coroutine = getattr(coroutine, "cr_await", None)


def main(role: str) -> None:
    stumbling = Stumbling(Random(os.getpid()))
    setattr(Supervisor, "keep", lambda supervisor, loop: stumbling.keep(supervisor, loop))  # noqa: B010 - not ours here
    signal.signal(signal.SIGUSR2, stumbling.stumble)
    sys.argv = [role]
    runpy.run_module(role, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1])
