"""The pipe: how many runs share two connections, and one round trip."""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field

from redis.asyncio import Redis

from shared.redis import Argument, Lane, Refused, TripWatch, is_forgotten, opened, unavailable
from shared.replies import Reply

LANES = 2  # connections of a pipe: a large batch on one does not hold up the other
BATCH = 512  # calls that share one round trip at most, so that one batch cannot starve the next


class Script:
    """A Lua script and its digest."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


@dataclass
class _Call:
    command: tuple[Argument, ...]
    script: Script | None = None
    answer: asyncio.Future[Reply] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Unwatched:
    def answered(self, seconds: float) -> None: ...

    def failed(self) -> None: ...


class Pipe:
    """Calls to one Redis; those made while a round trip is under way share the next one.

    So a process needs two connections however many runs it serves, and a caller that is cancelled gives up its answer
    only: redis-py drops the connection of a cancelled command. What a cancelled caller asked for may still happen.
    """

    def __init__(self, redis: Redis, *, lanes: int = LANES, watch: TripWatch | None = None) -> None:
        """`lanes` round trips may be under way at once; calls of different lanes may overtake each other."""
        self.redis = redis
        self._waiting: deque[_Call] = deque()
        self._idle = lanes
        self._trips: set[asyncio.Task[None]] = set()
        self._watch = watch or Unwatched()

    async def command(self, *command: Argument) -> Reply:
        """Raises Unavailable when Redis cannot serve now."""
        return await self._ask(_Call(_encoded(command)))

    async def run(self, script: Script, keys: tuple[str, ...] = (), args: tuple[Argument, ...] = ()) -> Reply:
        """Runs a script by its digest. Raises Unavailable when Redis cannot serve now."""
        return await self._ask(_Call(_encoded(("EVALSHA", script.sha, len(keys), *keys, *args)), script))

    async def _ask(self, call: _Call) -> Reply:
        self._waiting.append(call)
        if self._idle:
            self._idle -= 1
            trip = asyncio.get_running_loop().create_task(self._travel(), name="redis-pipe")
            self._trips.add(trip)  # the loop itself keeps weak references only
            trip.add_done_callback(self._trips.discard)
        with unavailable():
            return await call.answer

    async def _travel(self) -> None:
        """Round trips as long as there are calls; also those that come while the connection is given back."""
        lane = Lane(self.redis, self._watch)
        try:
            while self._waiting:
                while self._waiting:
                    await self._trip(lane, [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))])
                await lane.give_back()
        finally:
            self._idle += 1

    async def _trip(self, lane: Lane, calls: list[_Call]) -> None:
        answers = await lane.exchange([call.command for call in calls])
        unknown = [i for i, answer in enumerate(answers) if is_forgotten(answer)]
        if unknown:  # a Redis that restarted, or was failed over to, has forgotten the scripts
            again = [_in_full(calls[i]) for i in unknown]
            for i, answer in zip(unknown, await lane.exchange(again), strict=True):
                answers[i] = answer
        for call, answer in zip(calls, answers, strict=True):
            if call.answer.done():
                continue
            if isinstance(answer, Exception):
                call.answer.set_exception(answer)
            else:
                call.answer.set_result(answer)

    async def aclose(self) -> None:
        """Lets what is under way finish. The connections are the caller's."""
        if self._trips:
            await asyncio.wait(self._trips)


def _encoded(command: tuple[Argument, ...]) -> tuple[Argument, ...]:
    """Text that cannot be encoded fails here, its own call alone, and not in the middle of a round trip.

    The name stays text: by it redis-py finds out how to read the reply.
    """
    name, *arguments = command
    return name, *(part.encode() if isinstance(part, str) else part for part in arguments)


def _in_full(call: _Call) -> tuple[Argument, ...]:
    """The same with the script's text."""
    assert call.script is not None, call.command
    return "EVAL", call.script.text, *call.command[2:]


@dataclass(frozen=True)
class Pipes:
    """Where the ledger and the event logs are; often the same place."""

    ledger: Pipe
    events: Pipe


@asynccontextmanager
async def piped(ledger_url: str, events_url: str, *, watch: TripWatch | None = None) -> AsyncIterator[Pipes]:
    async with opened(ledger_url, max_connections=LANES, socket_timeout=None) as ledger, AsyncExitStack() as stack:
        ledger_pipe = await stack.enter_async_context(aclosing(Pipe(ledger, watch=watch)))
        if events_url == ledger_url:
            yield Pipes(ledger_pipe, ledger_pipe)
            return
        events = await stack.enter_async_context(opened(events_url, max_connections=LANES, socket_timeout=None))
        yield Pipes(ledger_pipe, await stack.enter_async_context(aclosing(Pipe(events, watch=watch))))


async def refusal(pipe: Pipe, *command: Argument) -> str:
    """Why this Redis refuses a command; empty when it did it."""
    try:
        await pipe.command(*command)
    except Refused as why:
        return str(why)
    return ""


async def info(pipe: Pipe) -> dict[str, str]:
    """What INFO says; nothing from a Redis that does not know it or does not tell everybody."""
    try:
        reply = await pipe.command("INFO")
    except Refused:
        return {}
    assert isinstance(reply, dict), reply
    return {str(name): str(value) for name, value in reply.items()}
