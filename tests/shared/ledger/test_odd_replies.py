"""A reply of another type says nothing about a run: it counts as no answer, and the run not as unreadable."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from shared.ledger.ledger import Ledger
from shared.ledger.operations import Operations
from shared.log.event_log import EventLog
from shared.redis.client import Argument
from shared.redis.lua_script import LuaScript
from shared.redis.pipe import Pipe
from shared.redis.replies import Reply
from shared.run.errors import Unavailable
from shared.run.events import StopReason
from tests.broker import KEYS

RUN = "chatcmpl_1"
CALLS: dict[str, Callable[[Pipe], Awaitable[object]]] = {
    "end": lambda pipe: log(pipe).end(RUN),
    "head": lambda pipe: log(pipe).head(RUN),
    "first text": lambda pipe: log(pipe).first_text_ms(RUN),
    "events": lambda pipe: log(pipe).read(RUN, 0),
    "record": lambda pipe: Ledger(pipe, KEYS).record(RUN),
    "transcript": lambda pipe: Ledger(pipe, KEYS).transcript("s"),
    "cancel": lambda pipe: Ledger(pipe, KEYS).cancel(RUN, StopReason.USER),
    "renew": lambda pipe: Ledger(pipe, KEYS).renew({RUN: "w/1"}, lease_ms=1),
    "take": lambda pipe: Ledger(pipe, KEYS).take(RUN, "w", lease_ms=1),
    "delete": lambda pipe: Operations(pipe, KEYS, log(pipe)).delete(RUN, who="olga"),
}


class OddPipe(Pipe):
    def __init__(self, pipe: Pipe, reply: Reply) -> None:
        super().__init__(pipe.redis)
        self._reply = reply

    async def command(self, name: str, *arguments: Argument) -> Reply:
        return self._reply

    async def run(self, script: LuaScript, keys: tuple[str, ...] = (), args: tuple[Argument, ...] = ()) -> Reply:
        return self._reply


def log(pipe: Pipe) -> EventLog:
    return EventLog(pipe, KEYS, retention_ms=1)


@pytest.mark.parametrize("reply", [b"FROBNICATED", 42], ids=["status", "number"])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
async def test_it_is_no_answer(pipe: Pipe, call: Callable[[Pipe], Awaitable[object]], reply: Reply) -> None:
    with pytest.raises(Unavailable) as none:
        await call(OddPipe(pipe, reply))
    assert type(none.value) is Unavailable
