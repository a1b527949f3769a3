"""Keeps the loops of a process going, and tells whether it does.

Rule 1: a loop may raise anything. Its supervisor logs and counts it, and starts the loop again after a growing pause.
Rule 2: a loop beats in each of its rounds, also while it waits for Redis: an outage of Redis is no fault of the
process.
Rule 3: a process of which a loop has not beaten for its time, or has failed for too long, is not alive. Its health
check says so, and after a further time it exits in words, so that whatever started it starts it again.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol

import anyio
import structlog

from shared.run.errors import RunrelayError, SettingsError

logger = structlog.get_logger()

FIRST_PAUSE_SECONDS = 0.1  # after the first failure; each further one doubles it
LONGEST_PAUSE_SECONDS = 5.0
STEADY_SECONDS = 10.0  # a loop that ran for this long is no longer failing
FAILING_SECONDS = 60.0  # of failures without a steady time in between: the loop does not recover by itself
QUIET_SECONDS = 30.0  # the time that a loop may go without a beat
GIVE_UP_SECONDS = 30.0  # from the moment at which the process counts as dead until it exits
NAP_SECONDS = 5.0  # the longest sleep between two beats
LOOK_SECONDS = 1.0

Clock = Callable[[], float]


class Waitable(Protocol):
    def is_set(self) -> bool: ...

    async def wait(self) -> object: ...


class CannotGoOn(RunrelayError):
    """Loops of this process are stuck or fail again and again; the text names them."""


class Beat:
    """A loop calls it once in each round, and sleeps by it."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self.last = clock()

    def __call__(self) -> None:
        self.last = self._clock()

    async def sleep(self, seconds: float) -> None:
        """Sleeps, and beats meanwhile."""
        self()
        until = anyio.current_time() + seconds
        while (left := until - anyio.current_time()) > 0:
            await anyio.sleep(min(left, NAP_SECONDS))
            self()

    async def until(self, event: Waitable) -> None:
        """Waits for the event, and beats meanwhile."""
        while not event.is_set():
            self()
            with anyio.move_on_after(NAP_SECONDS):
                await event.wait()


@dataclass(frozen=True)
class Loop:
    """`run` goes on until it is cancelled. `quiet` is how many seconds it may go without a beat."""

    name: str
    run: Callable[[Beat], Awaitable[None]]
    quiet: float = QUIET_SECONDS


@dataclass
class _Kept:
    loop: Loop
    beat: Beat
    began: float
    failing_since: float | None = None
    known: set[str] = field(default_factory=set)  # failures whose traceback is in the log already

    def stalled(self, now: float) -> bool:
        return self._fails(now) or now - self.beat.last > self.loop.quiet

    def _fails(self, now: float) -> bool:
        steady = now - self.began > STEADY_SECONDS
        return not steady and self.failing_since is not None and now - self.failing_since > FAILING_SECONDS


class LoopInstrumentation(Protocol):
    def loop_failed(self, loop: str) -> None: ...


class NoLoopInstrumentation:
    def loop_failed(self, loop: str) -> None: ...


class Supervisor:
    def __init__(self, instrumentation: LoopInstrumentation | None = None, *, clock: Clock = time.monotonic) -> None:
        self._instrumentation = instrumentation or NoLoopInstrumentation()
        self._clock = clock
        self._kept: list[_Kept] = []

    def stalled(self) -> list[str]:
        """The loops because of which this process is not alive; none while all is well."""
        now = self._clock()
        return sorted(kept.loop.name for kept in self._kept if kept.stalled(now))

    async def keep(self, loop: Loop) -> None:
        """Runs the loop until it returns or the caller cancels it, and starts it again whenever it raises."""
        kept = _Kept(loop, Beat(self._clock), self._clock())
        self._kept.append(kept)
        pause = FIRST_PAUSE_SECONDS
        try:
            while True:
                kept.began = self._clock()
                kept.beat()
                try:
                    return await loop.run(kept.beat)
                except Exception as why:  # whatever it is, it is this loop's, and not the process's
                    if self._clock() - kept.began > STEADY_SECONDS:
                        pause, kept.failing_since = FIRST_PAUSE_SECONDS, None
                    self._failed(kept, why)
                await anyio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        finally:
            self._kept.remove(kept)

    def _failed(self, kept: _Kept, why: Exception) -> None:
        kept.failing_since = kept.failing_since or self._clock()
        self._instrumentation.loop_failed(kept.loop.name)
        kind = type(why).__name__
        logger.error("loop.failed", loop=kept.loop.name, why=kind, exc_info=None if kind in kept.known else why)
        kept.known.add(kind)

    async def give_up_when_stuck(self) -> None:
        """Raises CannotGoOn when this process has not been alive for GIVE_UP_SECONDS. Nothing else ends it."""
        dead_since = None
        while True:
            await anyio.sleep(LOOK_SECONDS)
            stalled, now = self.stalled(), self._clock()
            dead_since = (dead_since or now) if stalled else None
            if dead_since is not None and now - dead_since > GIVE_UP_SECONDS:
                raise CannotGoOn(f"these loops are stuck, so this process exits to be started again: {stalled}")


@contextmanager
def ending_in_words() -> Iterator[None]:
    """Ends the process with one line, and no traceback, when the block raises SettingsError or CannotGoOn, also inside
    a group. An error that nobody foresaw keeps its traceback, and the line comes after it."""
    sys.excepthook = _tell
    why: BaseException | None = None
    try:
        yield
    except* (SettingsError, CannotGoOn) as group:
        why = first_of(group)
    if why is not None:
        sys.exit(f"runrelay: {why}")


def _tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.__excepthook__(kind, error, trace)
    print(f"runrelay: ended by {type(first_of(error)).__name__}, which nobody foresaw", file=sys.stderr)


def first_of(error: BaseException) -> BaseException:
    """The error itself, or the first one inside groups of task groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
