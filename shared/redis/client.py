"""Redis as the rest of the project sees it: the one module that knows redis-py.

arq pins redis-py below 6; the day it moves is this file's day. Errors that mean "not now" become `Unavailable` here;
an error that means a bug of ours (a script that fails) flies as it is.
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
CommandError = ResponseError  # an answer: Redis does not do what it was asked

SOCKET_TIMEOUT = 5.0  # seconds without an answer after which a connection counts as dead

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
async def open_redis(
    url: str, *, max_connections: int = 1, socket_timeout: float | None = SOCKET_TIMEOUT
) -> AsyncIterator[Redis]:
    """The same, closed on leaving."""
    redis = connect(url, max_connections=max_connections, socket_timeout=socket_timeout)
    try:
        yield redis
    finally:
        await redis.aclose()
        await redis.connection_pool.disconnect()


@contextmanager
def redis_errors_as_unavailable() -> Iterator[None]:
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


def _reason(error: Exception) -> str:
    """The kind of failure, without the address that redis-py puts into its texts."""
    return type(error).__name__


async def blocking_pop(redis: Redis, keys: list[str], *, seconds: float) -> None:
    """Waits for an element of any of the lists and takes it. Holds the client's connection."""
    with redis_errors_as_unavailable():
        # redis-py's annotations know whole seconds only, and say that this may not be awaitable.
        await cast("Awaitable[object]", redis.blpop(keys, timeout=seconds))  # type: ignore[arg-type]


class TripInstrumentation(Protocol):
    """Is told of each round trip: how long it took, or that its connection did not survive it."""

    def answered(self, seconds: float) -> None: ...

    def failed(self) -> None: ...


@dataclass(frozen=True)
class Command:
    """A command as it travels. By its name redis-py finds out how to read the reply."""

    name: str
    wire: bytes


def encode_command(name: str, *arguments: Argument) -> Command:
    """Text that cannot be encoded fails here, its own call alone, and not in the middle of a round trip.

    By hiredis: redis-py packs in Python, which takes as long as the rest of sending a command.
    """
    return Command(name, pack_command((name, *arguments)))  # type: ignore[arg-type]  # it may be of any length


class PipelinedConnection:
    """A connection of a client's pool, for round trips of many commands one after the other.

    redis-py's pipeline takes a connection for each round trip, and watches the time of the write and of each reply.
    That costs more than the round trip. Here the connection stays out, and one clock runs for all replies: a client for
    lanes is made without a socket timeout of its own.
    """

    def __init__(self, redis: Redis, instrumentation: TripInstrumentation) -> None:
        self._redis = redis
        self._instrumentation = instrumentation
        self._connection: Connection | None = None

    async def exchange(self, commands: Sequence[Command]) -> list[Reply | Exception]:
        """The answers to commands that share a round trip. A connection that fails is the answer to each."""
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
        """Lets others have the connection. The next round trip takes one again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await self._redis.connection_pool.release(connection)

    async def _taken(self) -> Connection:
        if self._connection is None:
            self._connection = await self._redis.connection_pool.get_connection()
        elif _is_closed(self._connection):
            await self._drop()  # it connects again when it is written to
        return self._connection

    async def _reply(self, connection: Connection, command: Command) -> Reply | Exception:
        try:
            reply: Reply = await self._redis.parse_response(connection, command.name)
            return reply
        except ResponseError as refused:
            return refused

    async def _drop(self) -> None:
        """Whatever is still to be read on the connection belongs to nobody."""
        if self._connection is not None:
            await self._connection.disconnect(nowait=True)


def _is_closed(connection: Connection) -> bool:
    """Whether the server is known to have closed it: it restarted, or nothing was said for long. Else a call would fail
    to find out. redis-py's own way to ask tries to read, which costs as much as a round trip."""
    reader = connection._reader
    return reader is not None and reader.at_eof()


def is_unknown_script(answer: Reply | Exception) -> bool:
    """Whether Redis does not know the script that it was asked to run: it was started anew, or failed over to."""
    return isinstance(answer, NoScriptError)


class PubSubLink:
    """A connection for pub/sub. One task reads it, and any may say what it is to follow. When it breaks it stays so.

    redis-py's own connects again by itself and subscribes again, silently; and it has a retry loop and a clock for
    each message, which cost more than the message. Here nobody waits until something is sent, and what is to be sent
    at once leaves in one piece. A link that does not take it breaks; whoever reads it finds out. Errors are redis-py's.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._unsent: list[bytes] = []
        self._sending: asyncio.Task[None] | None = None

    def subscribe(self, *channels: str) -> None:
        """Asks for it; the confirmations are read like all else."""
        self._tell("SUBSCRIBE", *channels)

    def unsubscribe(self, *channels: str) -> None:
        self._tell("UNSUBSCRIBE", *channels)

    def ping(self) -> None:
        self._tell("PING")

    async def read(self) -> Reply:
        """What comes next: `[b"message", channel, data]`, or a word on what was sent. Loses nothing when cancelled."""
        said: Reply = await self._connection.read_response(disconnect_on_error=False)
        return said

    async def follow(self, heard: Callable[[Reply], None], *, ping_seconds: float) -> None:
        """Tells of all that comes, for as long as the link lives. Then it raises TimeoutError: nothing came for
        `ping_seconds` after a ping, not even the answer. Silence alone proves nothing."""
        alive = True
        while alive:
            alive = False
            self.ping()
            with anyio.move_on_after(ping_seconds):  # one clock for many messages: it costs more than a message
                while True:
                    said = await self.read()
                    alive = True
                    heard(said)
        raise TimeoutError("no answer to a ping")

    def _tell(self, name: str, *channels: str) -> None:
        self._unsent.append(encode_command(name, *channels).wire)
        if self._sending is None:
            self._sending = asyncio.get_running_loop().create_task(self._send(), name="redis-link")

    async def _send(self) -> None:
        with suppress(RedisError, OSError, RuntimeError):
            while self._unsent and self._connection.is_connected:  # if it is not, redis-py would connect again
                commands, self._unsent = self._unsent, []
                await self._connection.send_packed_command(commands, check_health=False)
        self._sending = None

    async def cut(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
        await self._connection.disconnect(nowait=True)


@asynccontextmanager
async def open_link(redis: Redis) -> AsyncIterator[PubSubLink]:
    """A link on a connection of the client's pool, which is cut on leaving. The client has no socket timeout: silence
    proves nothing."""
    connection = await redis.connection_pool.get_connection()
    link = PubSubLink(connection)
    try:
        yield link
    finally:
        await link.cut()
        await redis.connection_pool.release(connection)
