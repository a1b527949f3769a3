from __future__ import annotations

from collections.abc import AsyncGenerator

import anyio
import pytest

from shared.run.errors import ErrorCode, RunError
from shared.run.events import Delta, ToolUse
from tests.worker.agents.asking import asked, said
from worker.agents.demo_config import DemoConfig
from worker.agents.protocol import AgentInput, AgentOutput
from worker.agents.silence import BoundedSilence, Silence

START, RESULT = (ToolUse(phase=phase, name="make", tool_call_id="1") for phase in ("start", "result"))


class Steps:
    """An agent that yields these outputs. A number is a pause, in seconds; None is one without end."""

    def __init__(self, *steps: AgentOutput | float | None) -> None:
        self._steps = steps
        self.closed = False

    async def run(self, input: AgentInput) -> AsyncGenerator[AgentOutput, None]:
        try:
            for step in self._steps:
                if isinstance(step, float | None):
                    await (anyio.sleep_forever() if step is None else anyio.sleep(step))
                else:
                    yield step
        finally:
            self.closed = True


async def test_an_agent_that_gives_no_sign_of_life_fails_its_run_and_is_closed() -> None:
    agent = Steps(Delta(delta="a"), None)
    with pytest.raises(RunError) as failed:
        await said(BoundedSilence(agent, 0.05), asked())
    assert failed.value.code is ErrorCode.AGENT_SILENT
    assert agent.closed


async def test_a_tool_may_take_its_time() -> None:
    assert await said(BoundedSilence(Steps(START, 0.3, RESULT), 0.1), asked()) == [START, RESULT]


async def test_after_the_tool_it_may_not() -> None:
    with pytest.raises(RunError):
        await said(BoundedSilence(Steps(START, RESULT, None), 0.05), asked())


def test_without_a_bound_it_may_be_silent_for_ever() -> None:
    assert Silence(None).bound == float("inf")
    assert DemoConfig().silent_seconds is None
