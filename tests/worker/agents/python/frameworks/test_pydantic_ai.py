from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, DeferredToolRequests, UsageLimitExceeded
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.messages import (
    BinaryImage,
    ImageUrl,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    SystemPromptPart,
    TextPart,
    UserPromptPart,
)
from pydantic_ai.models.function import AgentInfo, DeltaThinkingCalls, DeltaThinkingPart, DeltaToolCall, FunctionModel
from pydantic_ai.models.test import TestModel

from shared.run.errors import ErrorCode, RunError
from shared.run.events import Delta, Reasoning, ToolUse, Usage
from shared.run.run import Turn
from tests.worker.agents.asking import answer, asked, said, until
from tests.worker.agents.python.frameworks.pictures import PICTURE, PICTURES
from worker.agents.python.agent_loops import Loops
from worker.agents.python.frameworks.known import adapted
from worker.agents.python.python_agent import PythonAgent

Streamed = str | dict[int, DeltaToolCall] | DeltaThinkingCalls
Stream = Callable[[list[ModelMessage], AgentInfo], AsyncIterator[Streamed]]


def served(agent: object, loops: Loops) -> PythonAgent:
    function = adapted(agent)
    assert function is not None
    return PythonAgent(function, loops)


async def rolls(messages: list[ModelMessage], _: AgentInfo) -> AsyncIterator[Streamed]:
    """A model that thinks, writes text, uses a tool, and then writes the tool's result."""
    if len(messages) == 1:
        yield {0: DeltaThinkingPart(content="Hm. ")}
        yield {0: DeltaThinkingPart(content="Dice.")}
        yield "Let me "
        yield "roll."
        yield {2: DeltaToolCall(name="roll", json_args='{"sides"', tool_call_id="1")}
        yield {2: DeltaToolCall(json_args=": 6}")}
    else:
        yield "It is "
        yield "a 4."


async def test_text_tools_reasoning_and_tokens_come_through(loops: Loops) -> None:
    agent = Agent(FunctionModel(stream_function=rolls))

    @agent.tool_plain
    def roll(sides: int) -> dict[str, int]:
        return {"rolled": sides - 2}

    events = await said(served(agent, loops))
    assert events[:-1] == [
        Reasoning(delta="Hm. "),
        Reasoning(delta="Dice."),
        Delta(delta="Let me "),
        Delta(delta="roll."),
        ToolUse(phase="start", name="roll", tool_call_id="1", args={"sides": 6}),
        ToolUse(phase="result", name="roll", tool_call_id="1", result={"rolled": 4}),
        Delta(delta="It is ", message=1),
        Delta(delta="a 4.", message=1),
    ]
    usage = events[-1]
    assert isinstance(usage, Usage)
    assert usage.prompt_tokens > 0
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens > usage.prompt_tokens


async def test_the_conversation_is_given_in_the_framework_s_own_messages(loops: Loops) -> None:
    seen: list[ModelMessage] = []
    prompts: list[str | None] = []

    async def looks(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[Streamed]:
        seen.extend(messages)
        prompts.append(info.instructions)
        yield "Hi."

    agent = Agent(FunctionModel(stream_function=looks), system_prompt="You are a bot.", instructions="Speak Welsh.")
    history = [
        Turn(role="user", content="One"),
        Turn(role="assistant", content="Two"),
        Turn(role="tool", content="Three"),
    ]
    assert await answer(served(agent, loops), asked("Four", system="Be brief.", history=history)) == "Hi."
    assert [
        (type(message), [(type(part), getattr(part, "content", "")) for part in message.parts]) for message in seen
    ] == [
        (ModelRequest, [(SystemPromptPart, "You are a bot."), (UserPromptPart, "One")]),
        (ModelResponse, [(TextPart, "Two")]),
        (ModelRequest, [(UserPromptPart, "Tool result:\nThree"), (UserPromptPart, "Four")]),
    ]
    assert prompts == ["Speak Welsh.\n\nBe brief."]


async def test_pictures_of_the_current_turn_are_given(loops: Loops) -> None:
    seen: list[ModelMessage] = []

    async def looks(messages: list[ModelMessage], _: AgentInfo) -> AsyncIterator[Streamed]:
        seen.extend(messages)
        yield "A dot."

    assert await answer(served(Agent(FunctionModel(stream_function=looks)), loops), PICTURES) == "A dot."
    ((part,),) = (message.parts for message in seen)
    assert isinstance(part, UserPromptPart)
    assert part.content == ["What is it?", BinaryImage(b"\x89PNG", media_type="image/png"), ImageUrl(PICTURE)]


class Weather(BaseModel):
    city: str
    degrees: int


async def test_an_output_that_is_no_text_is_said_as_json(loops: Loops) -> None:
    model = TestModel(custom_output_args={"city": "Bonn", "degrees": 9})
    assert await answer(served(Agent(model, output_type=Weather), loops)) == '{"city":"Bonn","degrees":9}'


async def test_an_output_function_that_makes_text_has_the_last_word(loops: Loops) -> None:
    def forecast(city: str) -> str:
        return f"Rain in {city}."

    model = TestModel(custom_output_args={"city": "Bonn"})
    assert await answer(served(Agent(model, output_type=forecast), loops)) == "Rain in Bonn."


async def test_what_a_model_s_server_refuses_is_told_as_of_every_agent(loops: Loops) -> None:
    async def refuses(messages: list[ModelMessage], _: AgentInfo) -> AsyncIterator[Streamed]:
        if messages:
            raise ModelHTTPError(429, "m", {"message": "slow down, sk-0123456789abcdef"})
        yield ""

    with pytest.raises(RunError, match="rate limit") as failure:
        await said(served(Agent(FunctionModel(stream_function=refuses)), loops))
    assert failure.value.code is ErrorCode.RATE_LIMITED
    assert "sk-" not in failure.value.detail


async def test_what_the_framework_gives_up_on_is_told(loops: Loops) -> None:
    async def gives_up(messages: list[ModelMessage], _: AgentInfo) -> AsyncIterator[Streamed]:
        if messages:
            raise UsageLimitExceeded("Too many requests for one answer")
        yield ""

    with pytest.raises(RunError, match="Too many requests"):
        await said(served(Agent(FunctionModel(stream_function=gives_up)), loops))


async def test_a_bug_of_a_tool_stays_a_bug(loops: Loops) -> None:
    agent = Agent(TestModel())

    @agent.tool_plain
    def fails() -> str:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await said(served(agent, loops))


async def test_an_agent_that_waits_for_an_approval_fails(loops: Loops) -> None:
    agent = Agent(TestModel(), output_type=[str, DeferredToolRequests])

    @agent.tool_plain(requires_approval=True)
    def delete() -> str:
        raise AssertionError("not approved")

    with pytest.raises(RunError, match="approval"):
        await said(served(agent, loops))


async def test_a_cancelled_run_cancels_the_framework_s(loops: Loops) -> None:
    begun, left = threading.Event(), threading.Event()

    async def thinks_for_ever(messages: list[ModelMessage], _: AgentInfo) -> AsyncIterator[Streamed]:
        try:
            yield "Hm"
            begun.set()
            await asyncio.Event().wait()
        finally:
            left.set()

    task = asyncio.create_task(said(served(Agent(FunctionModel(stream_function=thinks_for_ever)), loops)))
    await until(begun.is_set)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert left.is_set()
