"""A pub/sub link of redis-py as far as the hub uses it, to be dropped at the moment that a test chooses."""

from __future__ import annotations

from collections import deque
from types import TracebackType
from typing import Self, cast

import anyio
from redis.asyncio import Redis


class Link:
    def __init__(self) -> None:
        self.channels: list[str] = []
        self.dropped = False
        self._confirmations: deque[str] = deque()
        self._woken = anyio.Event()

    def drop(self) -> None:
        self.dropped = True
        self._woken.set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None: ...

    async def connect(self) -> None:
        self._use()

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

    async def ping(self) -> None:
        self._use()

    async def get_message(self, timeout: float) -> dict[str, object]:  # noqa: ASYNC109 - as redis-py has it
        while not self._confirmations:
            self._woken = anyio.Event()
            await self._woken.wait()
            self._use()
        return {"type": "subscribe", "channel": self._confirmations.popleft().encode(), "data": b"1"}

    def _use(self) -> None:
        if self.dropped:
            self.drop()
            raise AttributeError("'NoneType' object has no attribute 'writelines'")


class Links:
    """The client that makes them."""

    def __init__(self) -> None:
        self.made: list[Link] = []

    @property
    def client(self) -> Redis:
        return cast("Redis", self)

    def pubsub(self) -> Link:
        self.made.append(Link())
        return self.made[-1]
