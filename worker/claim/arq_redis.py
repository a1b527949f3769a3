"""Sends arq's own commands, about one a minute, through the pipe: they need no connection of their own."""

from __future__ import annotations

from arq.connections import ArqRedis

from shared.redis.client import Argument
from shared.redis.pipe import Pipe
from shared.redis.replies import Reply


class PipedArqRedis(ArqRedis):
    def __init__(self, pipe: Pipe) -> None:
        super().__init__(pipe.redis.connection_pool)
        self._pipe = pipe

    async def execute_command(self, name: str, *arguments: Argument, **_: object) -> Reply:
        return await self._pipe.command(name, *arguments)
