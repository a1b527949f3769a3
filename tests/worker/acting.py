"""Agents for tests."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field

import anyio

from shared.run.events import Delta
from worker.agents.protocol import AgentEvent, AgentInput

Act = Callable[[AgentInput], AsyncGenerator[AgentEvent, None]]


@dataclass(frozen=True)
class Acts:
    """An agent that yields the events of a function."""

    act: Act

    def run(self, input: AgentInput) -> AsyncGenerator[AgentEvent, None]:
        return self.act(input)


@dataclass
class Says:
    """An agent that emits the given events, and then raises an error, if there is one."""

    events: tuple[AgentEvent, ...] = (Delta(delta="Hello"),)
    then: BaseException | None = None
    inputs: list[AgentInput] = field(default_factory=list)

    async def run(self, input: AgentInput) -> AsyncGenerator[AgentEvent, None]:
        self.inputs.append(input)
        for one in self.events:
            yield one
        if self.then is not None:
            raise self.then


@dataclass
class Waits:
    """An agent that emits the given events and then waits until it is stopped. Then it may raise, or with `swallows`
    return as if it had finished."""

    events: tuple[AgentEvent, ...] = ()
    then: Exception | None = None
    swallows: bool = False
    waiting: anyio.Event = field(default_factory=anyio.Event)
    go_on: anyio.Event = field(default_factory=anyio.Event)
    closed: bool = False

    async def run(self, input: AgentInput) -> AsyncGenerator[AgentEvent, None]:
        try:
            for one in self.events:
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
