"""The pipe, by which many runs share two connections and their round trips."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import structlog
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
from shared.redis.unreadable import Unreadables
from shared.run.errors import Unavailable

logger = structlog.get_logger()

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

    def unreadable(self, kind: str) -> None: ...


class Pipe:
    """Calls to one Redis. Calls made while a round trip is under way share the next one.

    So a process needs two connections however many runs it serves. A caller that is cancelled gives up only its answer,
    while redis-py drops the connection of a cancelled command. Redis may still execute a cancelled caller's command.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        connections: int = CONNECTIONS,
        instrumentation: TripInstrumentation | None = None,
        patience: float | None = None,
    ) -> None:
        """`connections` is how many round trips may be under way at once. Calls on different ones may overtake each
        other. A call without an answer after `patience` seconds counts as not answered; None: after as long as its
        round trip takes to fail."""
        self._patience = patience
        self.redis = redis
        self.unreadables = Unreadables(instrumentation or NoTripInstrumentation())
        self._waiting: deque[_Call] = deque()
        self._idle = [
            PipelinedConnection(redis, instrumentation or NoTripInstrumentation()) for _ in range(connections)
        ]
        self._trips: set[asyncio.Task[None]] = set()

    async def command(self, name: str, *arguments: Argument) -> Reply:
        """Executes a command and returns its reply. Raises Unavailable when Redis cannot serve now, Unreadable when the
        key has another type."""
        with redis_errors_as_unavailable():
            return await self._answer(_Call(encode_command(name, *arguments)))

    async def attempt(self, name: str, *arguments: Argument) -> tuple[Reply, str]:
        """The reply to a command, and why this Redis refuses it: an empty text when Redis has executed it. Raises
        Unavailable when Redis does not answer."""
        with redis_errors_as_unavailable():
            try:
                return await self._answer(_Call(encode_command(name, *arguments))), ""
            except CommandError as why:
                return None, str(why)

    async def run(self, script: LuaScript, keys: tuple[str, ...] = (), args: tuple[Argument, ...] = ()) -> Reply:
        """Runs a script by its digest. Raises Unavailable when Redis cannot serve now, Unreadable when a key has
        another type."""
        rest = (len(keys), *keys, *args)
        call = _Call(encode_command("EVALSHA", script.sha, *rest), lambda: encode_command("EVAL", script.text, *rest))
        with redis_errors_as_unavailable():
            return await self._answer(call)

    async def _answer(self, call: _Call) -> Reply:
        self._waiting.append(call)
        self._set_off()
        if self._patience is None:
            return await call.answer
        async with asyncio.timeout(self._patience):
            return await call.answer

    def _set_off(self) -> None:
        if self._idle and self._waiting:
            trip = asyncio.get_running_loop().create_task(self._travel(self._idle.pop()), name="redis-pipe")
            self._trips.add(trip)  # the loop itself keeps weak references only
            trip.add_done_callback(self._arrived)

    def _arrived(self, trip: asyncio.Task[None]) -> None:
        self._trips.discard(trip)
        if not trip.cancelled() and (bug := trip.exception()) is not None:
            logger.error("redis.bug", exc_info=bug)  # its calls got Unavailable

    async def _travel(self, connection: PipelinedConnection) -> None:
        """Makes round trips while calls wait."""
        try:
            while self._waiting:
                await self._trip(connection, [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))])
        finally:
            self._idle.append(connection)
            self._set_off()  # after an error that nobody foresaw, calls may still wait

    async def _trip(self, connection: PipelinedConnection, calls: list[_Call]) -> None:
        try:
            self._give(calls, await self._answers(connection, calls))
        finally:
            self._give(calls, [Unavailable("the round trip failed")] * len(calls))  # to those without an answer

    async def _answers(self, connection: PipelinedConnection, calls: list[_Call]) -> list[Reply | Exception]:
        answers = await connection.exchange([call.command for call in calls])
        unknown = [i for i, answer in enumerate(answers) if is_unknown_script(answer) and calls[i].in_full]
        if unknown:  # a Redis that restarted, or was failed over to, has forgotten the scripts
            again = [in_full() for i in unknown if (in_full := calls[i].in_full)]
            for i, answer in zip(unknown, await connection.exchange(again), strict=True):
                answers[i] = answer
        return answers

    def _give(self, calls: list[_Call], answers: Sequence[Reply | Exception]) -> None:
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
    ledger_url: str,
    events_url: str,
    *,
    instrumentation: TripInstrumentation | None = None,
    patience: float | None = None,
) -> AsyncIterator[Pipes]:
    """Opens both pipes; the end of the block closes them. With equal URLs both are one pipe. `patience` as in Pipe."""
    async with (
        open_redis(ledger_url, max_connections=CONNECTIONS, socket_timeout=None) as ledger,
        AsyncExitStack() as stack,
    ):
        pipe = partial(Pipe, instrumentation=instrumentation, patience=patience)
        ledger_pipe = await stack.enter_async_context(aclosing(pipe(ledger)))
        if events_url == ledger_url:
            yield Pipes(ledger_pipe, ledger_pipe)
            return
        events = await stack.enter_async_context(
            open_redis(events_url, max_connections=CONNECTIONS, socket_timeout=None)
        )
        yield Pipes(ledger_pipe, await stack.enter_async_context(aclosing(pipe(events))))


async def info_command(pipe: Pipe) -> dict[str, str]:
    """The fields of INFO; none from a Redis that does not know INFO or refuses it. Raises Unavailable."""
    reply, _ = await pipe.attempt("INFO")
    return {str(name): str(value) for name, value in reply.items()} if isinstance(reply, dict) else {}
