"""Agents of kind `openai` against another project's server of OpenAI's API."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from shared.run.errors import ErrorCode, RunError
from shared.run.events import FinishReason, Reasoning, ToolCallDelta, Usage
from shared.run.run import ToolCall, Turn
from shared.run.tool_calls import ToolCallAssembler
from tests.agents.clis import HELLO, LIMIT, NOTE, RATE_LIMIT, REFUSED_KEY, THINKING, TOO_LONG
from tests.worker.agents.asking import asked, said, text
from worker.agents.openai.openai_agent import OpenAIAgent, open_openai
from worker.agents.openai.openai_config import OpenAIConfig
from worker.agents.protocol import AgentEvent, Finished

WRITE = {"type": "function", "function": {"name": "write", "parameters": {"type": "object"}}}


@pytest.fixture
async def agent(model: str) -> AsyncIterator[OpenAIAgent]:
    config = OpenAIConfig(kind="openai", base_url=f"{model}/v1", model="gpt-x", max_retries=0)
    async with open_openai(config, {}) as agent:
        yield agent


def called(events: list[AgentEvent]) -> tuple[ToolCall, ...]:
    calls = ToolCallAssembler()
    for one in events:
        if isinstance(one, ToolCallDelta):
            calls.add(one)
    return calls.whole


async def test_an_answer(agent: OpenAIAgent) -> None:
    *events, usage, finished = await said(agent, asked(HELLO))
    assert text(events) == "Hello from the model, said in several pieces."
    assert len(events) > 1
    assert usage == Usage(prompt_tokens=12, completion_tokens=9, total_tokens=21)
    assert finished == Finished(reason=FinishReason.STOP)


async def test_thoughts(agent: OpenAIAgent) -> None:
    events = await said(agent, asked(THINKING))
    assert "".join(one.delta for one in events if isinstance(one, Reasoning)) == "First I think about it."
    assert text(events) == "Now I have thought."


async def test_the_limit_of_an_answer_is_told(agent: OpenAIAgent) -> None:
    assert (await said(agent, asked(LIMIT)))[-1] == Finished(reason=FinishReason.LENGTH)


async def test_a_loop_with_a_tool_of_the_client(agent: OpenAIAgent) -> None:
    events = await said(agent, asked(NOTE).model_copy(update={"tools": (WRITE,)}))
    (call,) = called(events)
    assert (call.id, call.name, call.arguments) == ("call_1", "write", '{"path":"note.txt","content":"from the agent"}')
    assert (text(events), events[-1]) == ("I shall write it.", Finished(reason=FinishReason.TOOL_CALLS))
    history = (Turn(role="user", content=NOTE), Turn(role="assistant", content=text(events), tool_calls=(call,)))
    result = Turn(role="tool", content="Done.", tool_call_id=call.id)
    more = asked("Tool result:\nDone.", history=history).model_copy(update={"tools": (WRITE,), "current": (result,)})
    assert text(await said(agent, more)) == "The note is written."


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (REFUSED_KEY, ErrorCode.UPSTREAM_ERROR),
        (RATE_LIMIT, ErrorCode.RATE_LIMITED),
        (TOO_LONG, ErrorCode.CONTEXT_LENGTH_EXCEEDED),
    ],
)
async def test_what_the_server_refuses(agent: OpenAIAgent, message: str, code: ErrorCode) -> None:
    with pytest.raises(RunError) as failed:
        await said(agent, asked(message))
    assert failed.value.code is code
