"""A Redis that fails as planned."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from redis.asyncio import Redis

from shared.redis.client import Argument
from shared.redis.lua_script import LuaScript
from shared.redis.pipe import Pipe
from shared.redis.replies import Reply
from shared.run.errors import Unavailable

Fault = Literal["", "before", "after"]  # before the call gets to Redis, or after, so that only the answer is lost


class LossyPipe(Pipe):
    """A pipe on which each call meets the next planned fault. After the last one all calls succeed."""

    def __init__(self, redis: Redis, faults: Iterable[Fault] = ()) -> None:
        super().__init__(redis)
        self.faults = list(faults)

    async def command(self, name: str, *arguments: Argument) -> Reply:
        fault = self._before()
        return _after(fault, await super().command(name, *arguments))

    async def run(self, script: LuaScript, keys: tuple[str, ...] = (), args: tuple[Argument, ...] = ()) -> Reply:
        fault = self._before()
        return _after(fault, await super().run(script, keys, args))

    def _before(self) -> Fault:
        fault: Fault = self.faults.pop(0) if self.faults else ""
        if fault == "before":
            raise Unavailable("planned")
        return fault


def _after(fault: Fault, answer: Reply) -> Reply:
    if fault == "after":
        raise Unavailable("planned")
    return answer
