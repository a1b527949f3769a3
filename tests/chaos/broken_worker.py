"""A worker without a fence: it never learns that it has lost a lease, and each of its writes first takes the log back
from the worker that owns it now.
"""

from __future__ import annotations

import os

import uvloop

from shared.redis.client import Argument
from shared.redis.lua_script import LuaScript
from shared.redis.pipe import Pipe
from shared.redis.replies import Reply
from shared.settings import read_settings
from tests.chaos.odd_pipe import work


class Unfenced(Pipe):
    async def run(self, script: LuaScript, keys: tuple[str, ...] = (), args: tuple[Argument, ...] = ()) -> Reply:
        if keys:  # only the scripts of a log have keys: stream and head
            await self.command("HSET", keys[1], "attempt", args[0])
        reply = await super().run(script, keys, args)
        return [b"held" if word == b"lost" else word for word in reply] if isinstance(reply, list) else reply


if __name__ == "__main__":
    uvloop.run(work(read_settings(os.environ), Unfenced))
