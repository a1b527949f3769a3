"""Redis as the rest of the project sees it: the one module that knows redis-py.

arq pins redis-py below 6; when arq moves on, only this file has to change. Errors that mean "not now" become
`Unavailable` here. An error that means a bug of ours (a script that fails) passes unchanged.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Protocol, cast

import anyio
from hiredis import pack_command
from redis.asyncio import BlockingConnectionPool, Connection, Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, OutOfMemoryError, ReadOnlyError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.redis.replies import Reply
from shared.run.errors import Unavailable

Argument = str | bytes | int | float
CommandError = ResponseError  # an answer: Redis refuses the command

SOCKET_TIMEOUT = 5.0  # seconds without an answer after which a connection counts as dead

# Answers of a Redis that is up but cannot serve: it loads its data, has no quorum or a full disk, or fails over.
_NOT_NOW = ("LOADING", "MISCONF", "NOREPLICAS", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY", "UNBLOCKED")

# The text of uvloop's RuntimeError for a write to a connection that was reset just before.
_RESET = "unable to perform operation on"


def connect(url: str, *, max_connections: int, socket_timeout: float | None = SOCKET_TIMEOUT) -> Redis:
    """A client that connects at its first command.

    It respects the URL's query options and percent-encoded passwords; `valkey://` means `redis://`. A command waits up
    to SOCKET_TIMEOUT for a free connection instead of opening one more: hosted plans allow few.
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
async def open_redis(
    url: str, *, max_connections: int = 1, socket_timeout: float | None = SOCKET_TIMEOUT
) -> AsyncIterator[Redis]:
    """A client (see `connect`) that is closed when the block ends."""
    redis = connect(url, max_connections=max_connections, socket_timeout=socket_timeout)
    try:
        yield redis
    finally:
        await redis.aclose()
        await redis.connection_pool.disconnect()


@contextmanager
def redis_errors_as_unavailable() -> Iterator[None]:
    """Turns errors that mean "Redis does not answer now" into `Unavailable`; all others pass."""
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


def _reason(error: Exception) -> str:
    """The type of the failure, without redis-py's text, which has the address."""
    return type(error).__name__


async def blocking_pop(redis: Redis, keys: list[str], *, seconds: float) -> None:
    """Waits up to `seconds` for an element of any of the lists and takes it. Occupies a connection of the client
    meanwhile. Raises Unavailable."""
    with redis_errors_as_unavailable():
        # redis-py's annotations allow whole seconds only, and a result that is not awaitable.
        await cast("Awaitable[object]", redis.blpop(keys, timeout=seconds))  # type: ignore[arg-type]


class TripInstrumentation(Protocol):
    """Receives the outcome of each round trip: how many seconds it took, or that its connection failed."""

    def answered(self, seconds: float) -> None: ...

    def failed(self) -> None: ...


@dataclass(frozen=True)
class Command:
    """An encoded command. redis-py needs its name to parse the reply."""

    name: str
    wire: bytes


def encode_command(name: str, *arguments: Argument) -> Command:
    """Encodes a command. Raises UnicodeEncodeError for text that cannot be encoded: only this call fails, and not a
    round trip that other calls share.

    hiredis packs the command: redis-py packs in Python, which takes as long as the rest of sending a command.
    """
    return Command(name, pack_command((name, *arguments)))  # type: ignore[arg-type]  # the tuple may have any length


class PipelinedConnection:
    """A connection of a client's pool, for round trips of many commands, one round trip after the other.

    redis-py's pipeline takes a connection from the pool for each round trip, and runs a timeout for the write and for
    each reply. That costs more than the round trip. This class keeps its connection, and runs one timeout for all
    replies. So the client for it must have no socket timeout of its own.
    """

    def __init__(self, redis: Redis, instrumentation: TripInstrumentation) -> None:
        self._redis = redis
        self._instrumentation = instrumentation
        self._connection: Connection | None = None

    async def exchange(self, commands: Sequence[Command]) -> list[Reply | Exception]:
        """Sends commands in one round trip and returns the answer to each, in order. When the connection fails, that
        error is the answer to each command."""
        began = time.perf_counter()
        try:
            async with asyncio.timeout(SOCKET_TIMEOUT):
                connection = await self._taken()
                await connection.send_packed_command([command.wire for command in commands])
            async with asyncio.timeout(SOCKET_TIMEOUT):
                answers = [await self._reply(connection, command) for command in commands]
        except (RedisError, OSError, RuntimeError) as failure:
            self._instrumentation.failed()
            await self._drop()
            return [failure] * len(commands)
        self._instrumentation.answered(time.perf_counter() - began)
        return answers

    async def give_back(self) -> None:
        """Returns the connection to the pool. The next round trip takes one again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await self._redis.connection_pool.release(connection)

    async def _taken(self) -> Connection:
        if self._connection is None:
            self._connection = await self._redis.connection_pool.get_connection()
        elif _is_closed(self._connection):
            await self._drop()  # redis-py connects it again at the next write
        return self._connection

    async def _reply(self, connection: Connection, command: Command) -> Reply | Exception:
        try:
            reply: Reply = await self._redis.parse_response(connection, command.name)
            return reply
        except ResponseError as refused:
            return refused

    async def _drop(self) -> None:
        """Disconnects. No call waits for the replies that are still on the way, so the next call must not read
        them."""
        if self._connection is not None:
            await self._connection.disconnect(nowait=True)


def _is_closed(connection: Connection) -> bool:
    """Whether the server has closed the connection, as far as this process knows: servers do so at a restart and after
    a long silence. Without this check the next call would fail. redis-py's own check tries to read, which costs as much
    as a round trip."""
    reader = connection._reader
    return reader is not None and reader.at_eof()


def is_unknown_script(answer: Reply | Exception) -> bool:
    """Whether the answer means that Redis does not know the script: Redis forgets scripts at a restart and a
    failover."""
    return isinstance(answer, NoScriptError)


class PubSubLink:
    """A connection for pub/sub. One task reads it; any task may subscribe and unsubscribe. A broken link stays broken.

    redis-py's own PubSub connects and subscribes again by itself, silently. It also runs a retry loop and a timeout for
    each message, which cost more than the message. This class sends in a task of its own: callers do not wait, and
    commands of the same moment leave in one write. When sending fails the link breaks, and the task that reads it gets
    the error. Errors are redis-py's.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._unsent: list[bytes] = []
        self._sending: asyncio.Task[None] | None = None

    def subscribe(self, *channels: str) -> None:
        """Requests the channels; `read` returns Redis's confirmations among the messages."""
        self._enqueue("SUBSCRIBE", *channels)

    def unsubscribe(self, *channels: str) -> None:
        self._enqueue("UNSUBSCRIBE", *channels)

    def ping(self) -> None:
        self._enqueue("PING")

    async def read(self) -> Reply:
        """The next reply: a message (`[b"message", channel, data]`), or the confirmation of a command. A caller that is
        cancelled loses no reply."""
        reply: Reply = await self._connection.read_response(disconnect_on_error=False)
        return reply

    async def follow(self, received: Callable[[Reply], None], *, ping_seconds: float) -> None:
        """Calls `received` with each reply for as long as the link lives. Raises TimeoutError when nothing came for
        `ping_seconds` after a ping, not even its answer. Silence without a ping proves nothing."""
        alive = True
        while alive:
            alive = False
            self.ping()
            with anyio.move_on_after(ping_seconds):  # one timeout for many messages: it costs more than a message
                while True:
                    reply = await self.read()
                    alive = True
                    received(reply)
        raise TimeoutError("no answer to a ping")

    def _enqueue(self, name: str, *channels: str) -> None:
        self._unsent.append(encode_command(name, *channels).wire)
        if self._sending is None:
            self._sending = asyncio.get_running_loop().create_task(self._send(), name="redis-link")

    async def _send(self) -> None:
        with suppress(RedisError, OSError, RuntimeError):
            while self._unsent and self._connection.is_connected:  # redis-py would connect a broken link again
                commands, self._unsent = self._unsent, []
                await self._connection.send_packed_command(commands, check_health=False)
        self._sending = None

    async def cut(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
        await self._connection.disconnect(nowait=True)


@asynccontextmanager
async def open_link(redis: Redis) -> AsyncIterator[PubSubLink]:
    """A link on a connection of the client's pool; the end of the block disconnects it. The client must have no socket
    timeout, because a silent link may be alive."""
    connection = await redis.connection_pool.get_connection()
    link = PubSubLink(connection)
    try:
        yield link
    finally:
        await link.cut()
        await redis.connection_pool.release(connection)
