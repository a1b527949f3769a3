"""The pipe, by which many runs share two connections and their round trips."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field

from redis.asyncio import Redis

from shared.redis.client import (
    Argument,
    Command,
    CommandError,
    PipelinedConnection,
    TripInstrumentation,
    encode_command,
    is_unknown_script,
    open_redis,
    redis_errors_as_unavailable,
)
from shared.redis.lua_script import LuaScript
from shared.redis.replies import Reply

CONNECTIONS = 2  # connections of a pipe: a large batch on one does not delay calls on the other
BATCH = 512  # the most calls that share one round trip, so that one batch cannot starve the next


@dataclass
class _Call:
    command: Command
    in_full: Callable[[], Command] | None = None  # makes the EVAL command with the whole text, for an EVALSHA call
    answer: asyncio.Future[Reply] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class NoTripInstrumentation:
    def answered(self, seconds: float) -> None: ...

    def failed(self) -> None: ...


class Pipe:
    """Calls to one Redis. Calls made while a round trip is under way share the next one.

    So a process needs two connections however many runs it serves. A caller that is cancelled gives up only its answer,
    while redis-py drops the connection of a cancelled command. Redis may still execute a cancelled caller's command.
    """

    def __init__(
        self, redis: Redis, *, connections: int = CONNECTIONS, instrumentation: TripInstrumentation | None = None
    ) -> None:
        """`connections` is how many round trips may be under way at once. Calls on different ones may overtake each
        other."""
        self.redis = redis
        self._waiting: deque[_Call] = deque()
        self._idle = [
            PipelinedConnection(redis, instrumentation or NoTripInstrumentation()) for _ in range(connections)
        ]
        self._trips: set[asyncio.Task[None]] = set()

    async def command(self, name: str, *arguments: Argument) -> Reply:
        """Executes a command and returns its reply. Raises Unavailable when Redis cannot serve now."""
        return await self._answer(_Call(encode_command(name, *arguments)))

    async def run(self, script: LuaScript, keys: tuple[str, ...] = (), args: tuple[Argument, ...] = ()) -> Reply:
        """Runs a script by its digest. Raises Unavailable when Redis cannot serve now."""
        rest = (len(keys), *keys, *args)
        call = _Call(encode_command("EVALSHA", script.sha, *rest), lambda: encode_command("EVAL", script.text, *rest))
        return await self._answer(call)

    async def _answer(self, call: _Call) -> Reply:
        self._waiting.append(call)
        if self._idle:
            trip = asyncio.get_running_loop().create_task(self._travel(self._idle.pop()), name="redis-pipe")
            self._trips.add(trip)  # the loop itself keeps weak references only
            trip.add_done_callback(self._trips.discard)
        with redis_errors_as_unavailable():
            return await call.answer

    async def _travel(self, connection: PipelinedConnection) -> None:
        """Makes round trips while calls wait."""
        try:
            while self._waiting:
                await self._trip(connection, [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))])
        finally:
            self._idle.append(connection)

    async def _trip(self, connection: PipelinedConnection, calls: list[_Call]) -> None:
        answers = await connection.exchange([call.command for call in calls])
        unknown = [i for i, answer in enumerate(answers) if is_unknown_script(answer)]
        if unknown:  # a Redis that restarted, or was failed over to, has forgotten the scripts
            again = [in_full() for i in unknown if (in_full := calls[i].in_full)]
            for i, answer in zip(unknown, await connection.exchange(again), strict=True):
                answers[i] = answer
        for call, answer in zip(calls, answers, strict=True):
            if call.answer.done():
                continue
            if isinstance(answer, Exception):
                call.answer.set_exception(answer)
            else:
                call.answer.set_result(answer)

    async def aclose(self) -> None:
        """Lets the round trips under way finish, and returns the connections to the client's pool. The client itself
        stays open: it belongs to the caller."""
        if self._trips:
            await asyncio.wait(self._trips)
        for connection in self._idle:
            await connection.give_back()


@dataclass(frozen=True)
class Pipes:
    """The pipe to the ledger's Redis and the pipe to the event logs' Redis; one pipe when both are the same Redis."""

    ledger: Pipe
    events: Pipe


@asynccontextmanager
async def open_pipes(
    ledger_url: str, events_url: str, *, instrumentation: TripInstrumentation | None = None
) -> AsyncIterator[Pipes]:
    """Opens both pipes; the end of the block closes them. With equal URLs both are one pipe."""
    async with (
        open_redis(ledger_url, max_connections=CONNECTIONS, socket_timeout=None) as ledger,
        AsyncExitStack() as stack,
    ):
        ledger_pipe = await stack.enter_async_context(aclosing(Pipe(ledger, instrumentation=instrumentation)))
        if events_url == ledger_url:
            yield Pipes(ledger_pipe, ledger_pipe)
            return
        events = await stack.enter_async_context(
            open_redis(events_url, max_connections=CONNECTIONS, socket_timeout=None)
        )
        yield Pipes(
            ledger_pipe, await stack.enter_async_context(aclosing(Pipe(events, instrumentation=instrumentation)))
        )


async def command_refusal(pipe: Pipe, name: str, *arguments: Argument) -> str:
    """Tries a command: why this Redis refuses it, or an empty text when Redis has executed it."""
    try:
        await pipe.command(name, *arguments)
    except CommandError as why:
        return str(why)
    return ""


async def info_command(pipe: Pipe) -> dict[str, str]:
    """The fields of INFO; none from a Redis that does not know INFO or refuses it."""
    try:
        reply = await pipe.command("INFO")
    except CommandError:
        return {}
    assert isinstance(reply, dict), reply
    return {str(name): str(value) for name, value in reply.items()}
