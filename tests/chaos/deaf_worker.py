"""A worker that is deaf, if it is the first one of its round: it lives, says that it is healthy, and claims no runs."""

from __future__ import annotations

import os
from pathlib import Path

import uvloop

from chaos.journal import VARIABLE
from chaos.service import KEYS
from shared.ledger.ledger_script import ledger_script
from shared.redis.client import Argument
from shared.redis.lua_script import LuaScript
from shared.redis.pipe import Pipe
from shared.redis.replies import Reply
from shared.settings import read_settings
from tests.chaos.odd_pipe import work

CLAIM = ledger_script("claim", KEYS).sha


class Deaf(Pipe):
    async def run(self, script: LuaScript, keys: tuple[str, ...] = (), args: tuple[Argument, ...] = ()) -> Reply:
        return [] if script.sha == CLAIM else await super().run(script, keys, args)


def is_first() -> bool:
    try:
        Path(f"{os.environ[VARIABLE]}.deaf").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


if __name__ == "__main__":
    uvloop.run(work(read_settings(os.environ), Deaf if is_first() else Pipe))
