"""Redis as the rest of the project sees it: the one module that knows redis-py.

arq pins redis-py below 6; the day it moves is this file's day. Errors that mean "not now" become `Unavailable` here;
an error that means a bug of ours (a script that fails) flies as it is.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Protocol, cast

from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, OutOfMemoryError, ReadOnlyError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.errors import Unavailable

# Of a reply, redis-py makes a dict of HGETALL's and (id, fields) pairs of XRANGE's.
Reply = bytes | int | list["Reply"] | dict[bytes, bytes] | tuple[bytes, dict[bytes, bytes]] | None
Argument = str | bytes | int | float

SOCKET_TIMEOUT = 5.0  # seconds without an answer after which a connection counts as dead
LANES = 2  # connections of a pipe: a large batch on one does not hold up the other
BATCH = 512  # calls that share one round trip at most, so that one batch cannot starve the next

# Answers of a Redis that is up but cannot serve: loading, no quorum, disk full, failover under way.
_NOT_NOW = ("LOADING", "MISCONF", "NOREPLICAS", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY", "UNBLOCKED")

# How uvloop says, by a RuntimeError, that a connection was reset just before it was written to.
_RESET = "unable to perform operation on"


def connect(url: str, *, max_connections: int, socket_timeout: float | None = SOCKET_TIMEOUT) -> Redis:
    """A client that connects at its first command.

    The URL's query options and percent-encoded passwords count; `valkey://` is `redis://`. Waits for a free
    connection up to the socket timeout instead of opening one more: hosted plans allow few.
    """
    url = url.replace("valkey", "redis", 1) if url.startswith("valkey") else url
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=max_connections,
        timeout=SOCKET_TIMEOUT,
        socket_timeout=socket_timeout,
        socket_connect_timeout=SOCKET_TIMEOUT,
        socket_keepalive=not url.startswith("unix"),
        health_check_interval=15,
    )
    return Redis(connection_pool=pool)


@asynccontextmanager
async def opened(url: str, *, max_connections: int = 1) -> AsyncIterator[Redis]:
    """The same, closed on leaving."""
    redis = connect(url, max_connections=max_connections)
    try:
        yield redis
    finally:
        await redis.aclose()
        await redis.connection_pool.disconnect()


@dataclass(frozen=True)
class Pipes:
    """Where the ledger and the event logs are; often the same place."""

    ledger: Pipe
    events: Pipe


class TripWatch(Protocol):
    """Is told of each round trip: how long it took, or that its connection did not survive it."""

    def answered(self, seconds: float) -> None: ...

    def failed(self) -> None: ...


class Unwatched:
    def answered(self, seconds: float) -> None: ...

    def failed(self) -> None: ...


@asynccontextmanager
async def piped(ledger_url: str, events_url: str, *, watch: TripWatch | None = None) -> AsyncIterator[Pipes]:
    async with opened(ledger_url, max_connections=LANES) as ledger, AsyncExitStack() as stack:
        ledger_pipe = await stack.enter_async_context(aclosing(Pipe(ledger, watch=watch)))
        if events_url == ledger_url:
            yield Pipes(ledger_pipe, ledger_pipe)
            return
        events = await stack.enter_async_context(opened(events_url, max_connections=LANES))
        yield Pipes(ledger_pipe, await stack.enter_async_context(aclosing(Pipe(events, watch=watch))))


@contextmanager
def unavailable() -> Iterator[None]:
    """Turns "Redis does not answer now" into `Unavailable`."""
    try:
        yield
    except (RedisConnectionError, RedisTimeoutError, OutOfMemoryError, ReadOnlyError, OSError) as away:
        raise Unavailable(_reason(away)) from away
    except ResponseError as answer:
        if not str(answer).startswith(_NOT_NOW):
            raise
        raise Unavailable(_reason(answer)) from answer
    except RuntimeError as reset:
        if not str(reset).startswith(_RESET):
            raise
        raise Unavailable("reset") from reset


@contextmanager
def on_shared_link() -> Iterator[None]:
    """The same for a link that one task reads while others write: redis-py has no better word than AttributeError for
    a link that another task has just found dead."""
    try:
        with unavailable():
            yield
    except AttributeError as dropped:
        raise Unavailable("the link was dropped") from dropped


def _reason(error: Exception) -> str:
    """The kind of failure, without the address that redis-py puts into its texts."""
    return type(error).__name__


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
        try:
            while self._waiting:
                await self._trip([self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))])
        finally:
            self._idle += 1

    async def _trip(self, calls: list[_Call]) -> None:
        answers = await self._send(calls)
        unknown = [i for i, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if unknown:  # a Redis that restarted, or was failed over to, has forgotten the scripts
            again = [
                _Call(("EVAL", call.script.text, *call.command[2:]))
                for call in (calls[i] for i in unknown)
                if call.script
            ]
            for i, answer in zip(unknown, await self._send(again), strict=True):
                answers[i] = answer
        for call, answer in zip(calls, answers, strict=True):
            if call.answer.done():
                continue
            if isinstance(answer, Exception):
                call.answer.set_exception(answer)
            else:
                call.answer.set_result(answer)

    async def _send(self, calls: list[_Call]) -> list[Reply | Exception]:
        """One round trip. A connection that fails is the answer to each call."""
        began = time.perf_counter()
        try:
            async with self.redis.pipeline(transaction=False) as pipe:
                for call in calls:
                    pipe.execute_command(*call.command)
                answers: list[Reply | Exception] = await pipe.execute(raise_on_error=False)
        except (RedisError, OSError, RuntimeError) as failure:
            self._watch.failed()
            return [failure] * len(calls)
        self._watch.answered(time.perf_counter() - began)
        return answers

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


async def blocking_pop(redis: Redis, keys: list[str], *, seconds: float) -> None:
    """Waits for an element of any of the lists and takes it. Holds the client's connection."""
    with unavailable():
        # redis-py's annotations know whole seconds only, and say that this may not be awaitable.
        await cast("Awaitable[object]", redis.blpop(keys, timeout=seconds))  # type: ignore[arg-type]


async def refusal(pipe: Pipe, *command: Argument) -> str:
    """Why this Redis refuses a command; empty when it did it."""
    try:
        await pipe.command(*command)
    except ResponseError as why:
        return str(why)
    return ""


async def info(pipe: Pipe) -> dict[str, str]:
    """What INFO says; nothing from a Redis that does not know it or does not tell everybody."""
    try:
        reply = await pipe.command("INFO")
    except ResponseError:
        return {}
    assert isinstance(reply, dict), reply
    return {str(name): str(value) for name, value in reply.items()}


# --- replies ----------------------------------------------------------------------------------------------------------


def text(reply: Reply) -> str:
    assert isinstance(reply, bytes), reply
    return reply.decode()


def texts(reply: Reply) -> list[str]:
    assert isinstance(reply, list), reply
    return [str(item) if isinstance(item, int) else text(item) for item in reply]


def optional_texts(reply: Reply) -> list[str]:
    """Fields of a hash, in which those that are not there are empty."""
    assert isinstance(reply, list), reply
    return ["" if item is None else text(item) for item in reply]


def rows(reply: Reply) -> list[list[str]]:
    assert isinstance(reply, list), reply
    return [texts(row) for row in reply]


def mapping(reply: Reply) -> dict[str, str]:
    """A flat list of names and values, or the dict that redis-py makes of it where it knows the command."""
    if isinstance(reply, dict):
        return {text(name): text(value) for name, value in reply.items()}
    flat = texts(reply)
    return dict(zip(flat[::2], flat[1::2], strict=True))
