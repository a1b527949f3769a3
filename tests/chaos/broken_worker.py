"""A worker without a fence: it never learns that it has lost a lease, and each of its writes first takes the log back
from the worker that owns it now.
"""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import AsyncExitStack, aclosing

import uvloop

from shared.redis.client import Argument, open_redis
from shared.redis.lua_script import LuaScript
from shared.redis.pipe import CONNECTIONS, Pipe, Pipes
from shared.redis.replies import Reply
from shared.settings import Settings, read_settings
from worker.agents.config import load_agents
from worker.agents.opening import open_agents
from worker.assembly import Connections, assemble


class Unfenced(Pipe):
    async def run(self, script: LuaScript, keys: tuple[str, ...] = (), args: tuple[Argument, ...] = ()) -> Reply:
        if keys:  # only the scripts of a log have keys: stream and head
            await self.command("HSET", keys[1], "attempt", args[0])
        reply = await super().run(script, keys, args)
        return [b"held" if word == b"lost" else word for word in reply] if isinstance(reply, list) else reply


async def work(settings: Settings) -> None:
    configs = load_agents(settings.agents_file, required=True)
    async with AsyncExitStack() as stack:
        agents = await stack.enter_async_context(open_agents(configs, os.environ))
        redis = await stack.enter_async_context(open_redis(settings.redis_url, max_connections=CONNECTIONS))
        pipe = await stack.enter_async_context(aclosing(Unfenced(redis)))
        bell = await stack.enter_async_context(open_redis(settings.redis_url))
        control = await stack.enter_async_context(open_redis(settings.redis_url, socket_timeout=None))
        assembled = assemble(settings, configs, agents, Connections(Pipes(pipe, pipe), bell, control))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, assembled.worker.handle_sig, number)
        await assembled.run()


if __name__ == "__main__":
    uvloop.run(work(read_settings(os.environ)))
