"""Bounds how long an agent may give no sign of life: `silent_seconds`. While one of its tools runs it may be silent for
any time, because a build or a test takes as long as it takes."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator
from contextlib import aclosing

import anyio

from shared.run.errors import ErrorCode, RunError
from shared.run.events import ToolUse
from worker.agents.protocol import Agent, AgentInput, AgentOutput


class Silence:
    """How long an agent may be silent now. Pass every output to `note`."""

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds or math.inf
        self._tools: set[str] = set()  # that run now, by the ids of their calls

    @property
    def bound(self) -> float:
        """Seconds."""
        return math.inf if self._tools else self._seconds

    def note(self, output: AgentOutput) -> None:
        match output:
            case ToolUse(phase="start", name=name, tool_call_id=call):
                self._tools.add(call or name)
            case ToolUse(phase="result", name=name, tool_call_id=call):
                self._tools.discard(call or name)

    def broken(self) -> RunError:
        return RunError(ErrorCode.AGENT_SILENT, f"The agent gave no sign of life for {self._seconds:g} seconds.")


class BoundedSilence:
    """An agent whose events are its only signs of life: the run fails when none comes for too long."""

    def __init__(self, agent: Agent, seconds: float) -> None:
        self._agent = agent
        self._seconds = seconds

    async def run(self, input: AgentInput) -> AsyncGenerator[AgentOutput, None]:
        silence = Silence(self._seconds)
        async with aclosing(self._agent.run(input)) as outputs:
            while True:
                output = None
                with anyio.move_on_after(silence.bound) as waiting:
                    output = await anext(outputs, None)
                if waiting.cancelled_caught:
                    raise silence.broken()
                if output is None:
                    return
                silence.note(output)
                yield output
