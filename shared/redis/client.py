"""Redis as the rest of the project sees it: the one module that knows redis-py.

arq pins redis-py below 6; when arq moves on, only this file has to change. Every error of Redis, of the connection or
of redis-py becomes `Unavailable` here, known or not: no answer of Redis may end a process. The one exception is
`Unreadable`, about a key that holds another type than ours.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol, cast

import anyio
from hiredis import pack_command
from redis.asyncio import BlockingConnectionPool, Connection, Redis, SSLConnection
from redis.asyncio.connection import parse_url
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ReadOnlyError, RedisError, ResponseError

from shared.redis.redis_url import RedisAddress, parse_redis_url
from shared.redis.replies import Reply, unexpected
from shared.redis.unreadable import UNREADABLE
from shared.run.errors import Unavailable, Unreadable

Argument = str | bytes | int | float
CommandError = ResponseError  # an answer: Redis refuses the command

SOCKET_TIMEOUT = 5.0  # seconds without an answer after which a connection counts as dead

SENTINEL_TIMEOUT = 1.0  # the next sentinel is asked after this time

_OTHER_TYPE = "WRONGTYPE"  # begins the answer of a command, and stands within that of a script

_DEMOTED = "READONLY"  # of a primary that has become a replica; in an old Redis it stands within a script's answer

_CODE = re.compile("[A-Z]{2,20}")

# The text of uvloop's RuntimeError for a write to a connection that was reset just before.
_RESET = "unable to perform operation on"


def connect(url: str, *, max_connections: int, socket_timeout: float | None = SOCKET_TIMEOUT) -> Redis:
    """A client that connects at its first command.

    It respects the URL's query options and percent-encoded passwords (`shared/redis/redis_url.py`). A command waits up
    to SOCKET_TIMEOUT for a free connection instead of opening one more: hosted plans allow few.
    """
    address = parse_redis_url(url)
    options: dict[str, Any] = {  # as redis-py takes them; RESP2, because the links parse its messages
        **parse_url(address.url),
        "socket_timeout": socket_timeout,
        "health_check_interval": 15,
        "protocol": 2,
    }
    if not address.url.startswith("unix"):
        options |= {"socket_connect_timeout": SOCKET_TIMEOUT, "socket_keepalive": True}
    if address.sentinels:
        return _by_sentinels(address, {**options, "max_connections": max_connections})
    pool = BlockingConnectionPool(**options, max_connections=max_connections, timeout=int(SOCKET_TIMEOUT))
    return Redis(connection_pool=pool)


def _by_sentinels(address: RedisAddress, options: dict[str, Any]) -> Redis:
    """Each connection goes to the primary that the sentinels name when it connects. One to a primary that has become a
    replica ends with its first refused write."""
    secure = options.pop("connection_class", None) is SSLConnection
    for name in ("host", "port"):
        options.pop(name, None)
    own = {"username": address.sentinel_username or None, "password": address.sentinel_password or None}
    timeouts = {"socket_timeout": SENTINEL_TIMEOUT, "socket_connect_timeout": SENTINEL_TIMEOUT, "protocol": 2}
    manager = Sentinel(list(address.sentinels), sentinel_kwargs={**own, **timeouts})  # type: ignore[no-untyped-call]
    more = {"ssl": True} if secure else {}
    pool = SentinelConnectionPool(address.service, manager, **options, **more)  # type: ignore[no-untyped-call]
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
        if isinstance(redis.connection_pool, SentinelConnectionPool):
            for sentinel in redis.connection_pool.sentinel_manager.sentinels:
                await sentinel.aclose()


@asynccontextmanager
async def closed_in_time(seconds: float) -> AsyncIterator[AsyncExitStack]:
    """A stack of resources, such as connections. At the end of the block it closes them all, and waits for none for
    longer than `seconds`: a process that stops must not wait for a Redis that is away."""
    async with AsyncExitStack() as cleanly:
        yield cleanly
        resources = cleanly.pop_all()
        with anyio.move_on_after(seconds, shield=True):
            await resources.aclose()


@contextmanager
def redis_errors_as_unavailable() -> Iterator[None]:
    """Turns every error of Redis, of redis-py and of the connection into `Unavailable`; bugs of ours pass."""
    try:
        yield
    except (RedisError, OSError) as away:
        raise as_unavailable(away) from away
    except RuntimeError as reset:
        if not str(reset).startswith(_RESET):
            raise
        raise Unavailable("reset") from reset


def as_unavailable(error: Exception) -> Unavailable:
    if isinstance(error, ResponseError) and _OTHER_TYPE in str(error):
        return Unreadable(_OTHER_TYPE)
    return Unavailable(_reason(error))


def _reason(error: Exception) -> str:
    """The type of the failure, and that of its cause or the code of an answer. Not redis-py's text, which may have the
    address or a key."""
    name, cause = type(error).__name__, error.__cause__ or error.__context__
    if isinstance(error, RedisConnectionError) and isinstance(cause, OSError):
        return f"{name} {type(cause).__name__}"
    code = str(error).partition(" ")[0] if isinstance(error, ResponseError) else ""
    return f"{name} {code}" if _CODE.fullmatch(code) else name


async def blocking_pop(redis: Redis, keys: list[str], *, seconds: float) -> None:
    """Waits up to `seconds` for an element of any of the lists and takes it. Occupies a connection of the client
    meanwhile. Raises Unavailable."""
    with redis_errors_as_unavailable():
        try:
            # redis-py's annotations allow whole seconds only, and a result that is not awaitable.
            await cast("Awaitable[object]", redis.blpop(keys, timeout=seconds))  # type: ignore[arg-type]
        except UNREADABLE as why:  # redis-py expects another type
            raise unexpected(why) from why


class TripInstrumentation(Protocol):
    """Receives the outcome of each round trip: how many seconds it took, or that its connection failed. Also receives
    what could not be read (`shared/redis/unreadable.py`)."""

    def answered(self, seconds: float) -> None: ...

    def failed(self) -> None: ...

    def unreadable(self, kind: str) -> None: ...


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
        error is the answer to each command.

        Whatever else happens, a connection that still owes replies is dropped: the next call would read them as its
        own."""
        began, owes = time.perf_counter(), True
        try:
            async with asyncio.timeout(SOCKET_TIMEOUT):
                connection = await self._taken()
                await connection.send_packed_command([command.wire for command in commands])
            async with asyncio.timeout(SOCKET_TIMEOUT):
                answers = [await self._reply(connection, command) for command in commands]
            owes = False
        except (RedisError, OSError, RuntimeError) as failure:
            return [failure] * len(commands)
        finally:
            if owes:
                self._instrumentation.failed()
                await self._drop()
        self._instrumentation.answered(time.perf_counter() - began)
        if any(map(_is_demotion, answers)):
            await self._drop()  # behind a sentinel's name there is another primary by now
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
            reply: Reply = await connection.read_response()
        except ResponseError as refused:
            return refused
        convert = cast("Callable[[Reply], Reply] | None", self._redis.response_callbacks.get(command.name))
        try:
            return convert(reply) if convert else reply
        except UNREADABLE:  # redis-py expects another type: only this call has no answer, and the connection is in step
            return unexpected(reply)

    async def _drop(self) -> None:
        """Disconnects. No call waits for the replies that are still on the way, so the next call must not read
        them."""
        if self._connection is not None:
            await self._connection.disconnect(nowait=True)


def _is_demotion(answer: Reply | Exception) -> bool:
    return isinstance(answer, ReadOnlyError) or (isinstance(answer, ResponseError) and _DEMOTED in str(answer))


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

    async def follow(
        self, received: Callable[[Reply], None], *, ping_seconds: float, beat: Callable[[], None] = lambda: None
    ) -> None:
        """Calls `received` with each reply for as long as the link lives, and `beat` with each ping.

        Raises TimeoutError when nothing came for `ping_seconds` after a ping, not even its answer. Silence without a
        ping proves nothing."""
        alive = True
        while alive:
            alive = False
            beat()
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
