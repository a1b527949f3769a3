"""Agents made up by a test."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field

import anyio

from shared.run.events import Delta
from worker.agents.protocol import AgentEvent, AgentInput

Act = Callable[[AgentInput], AsyncGenerator[AgentEvent, None]]


@dataclass(frozen=True)
class Acts:
    """Does what a function does."""

    act: Act

    def run(self, input: AgentInput) -> AsyncGenerator[AgentEvent, None]:
        return self.act(input)


@dataclass
class Says:
    """Says this, then raises that."""

    said: tuple[AgentEvent, ...] = (Delta(delta="Hello"),)
    then: BaseException | None = None
    inputs: list[AgentInput] = field(default_factory=list)

    async def run(self, input: AgentInput) -> AsyncGenerator[AgentEvent, None]:
        self.inputs.append(input)
        for one in self.said:
            yield one
        if self.then is not None:
            raise self.then


@dataclass
class Waits:
    """Says this and then nothing, until it is stopped; then it may raise, or end as if it were done (`swallows`)."""

    said: tuple[AgentEvent, ...] = ()
    then: Exception | None = None
    swallows: bool = False
    waiting: anyio.Event = field(default_factory=anyio.Event)
    go_on: anyio.Event = field(default_factory=anyio.Event)
    closed: bool = False

    async def run(self, input: AgentInput) -> AsyncGenerator[AgentEvent, None]:
        try:
            for one in self.said:
                yield one
            self.waiting.set()
            await self.go_on.wait()
            yield Delta(delta=" and on")
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            if not self.swallows:
                raise
        finally:
            self.closed = True
            if self.then is not None:
                raise self.then
