"""The part of a redis-py connection that a hub's link uses. A test drops the connection when it wants."""

from __future__ import annotations

from collections import deque
from typing import Self, cast

import anyio
import hiredis
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError


class Link:
    def __init__(self) -> None:
        self.channels: list[str] = []
        self.dropped = False
        self._confirmations: deque[str] = deque()
        self._woken = anyio.Event()

    def drop(self) -> None:
        self.dropped = True
        self._woken.set()

    async def subscribe(self, *channels: str) -> None:
        self._use()
        self.channels += channels
        for channel in channels:
            self.confirm(channel)

    def confirm(self, channel: str) -> None:
        self._confirmations.append(channel)
        self._woken.set()

    async def unsubscribe(self, channel: str) -> None:
        self._use()
        self.channels.remove(channel)

    def _use(self) -> None:
        if self.dropped:
            self.drop()
            raise RedisConnectionError

    # --- the interface of redis-py ------------------------------------------------------------------------------------

    is_connected = True

    async def send_packed_command(self, commands: list[bytes], *, check_health: bool) -> None:
        sent = hiredis.Reader(encoding="utf-8")
        sent.feed(b"".join(commands))
        while command := sent.gets():
            match command:
                case ["SUBSCRIBE", *channels]:
                    await self.subscribe(*channels)
                case ["UNSUBSCRIBE", channel]:
                    await self.unsubscribe(channel)
                case _:
                    self._use()

    async def read_response(self, *, disconnect_on_error: bool) -> list[bytes | int]:
        while not self._confirmations:
            self._woken = anyio.Event()
            await self._woken.wait()
            self._use()
        return [b"subscribe", self._confirmations.popleft().encode(), 1]

    async def disconnect(self, *, nowait: bool) -> None: ...


class Links:
    """The Redis client that makes the links."""

    def __init__(self) -> None:
        self.made: list[Link] = []

    @property
    def client(self) -> Redis:
        return cast("Redis", self)

    @property
    def connection_pool(self) -> Self:
        return self

    def link(self) -> Link:
        return Link()

    async def get_connection(self) -> Link:
        self.made.append(self.link())
        return self.made[-1]

    async def release(self, link: Link) -> None: ...
