from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest
from agents import Agent, OpenAIChatCompletionsModel, Usage, function_tool, handoff, set_tracing_disabled
from agents.items import TResponseStreamEvent
from agents.testing import ModelStep, ScriptedModel, assistant_message, function_call
from agents.testing.model import ModelCall
from openai import AsyncOpenAI
from openai.types.responses import ResponseTextDeltaEvent
from openai.types.responses.response_reasoning_item import ResponseReasoningItem, Summary
from pydantic import BaseModel, JsonValue

from shared.run import events
from shared.run.errors import ErrorCode, RunError
from shared.run.events import Delta, Reasoning, ToolUse
from shared.run.run import Turn
from tests.worker.agents.asking import answer, asked, said, text, until
from tests.worker.agents.python.frameworks.pictures import DOT, PICTURE, PICTURES
from tests.worker.agents.upstream import chunk, refusal, stream, upstream
from worker.agents.python.agent_loops import Loops
from worker.agents.python.frameworks.known import adapted
from worker.agents.python.python_agent import PythonAgent

KEY = "sk-test-0123456789"
USAGE = Usage(requests=1, input_tokens=5, output_tokens=3, total_tokens=8)
DONE = chunk(finish="stop", usage={"prompt_tokens": 12, "completion_tokens": 9, "total_tokens": 21})


@pytest.fixture(scope="module", autouse=True)
def no_tracing() -> None:
    """Tracing would send the actions of the tests to OpenAI."""
    set_tracing_disabled(True)


def served(agent: object, loops: Loops) -> PythonAgent:
    function = adapted(agent)
    assert function is not None
    return PythonAgent(function, loops)


@function_tool
def roll(sides: int) -> dict[str, int]:
    return {"rolled": sides - 2}


@function_tool
def look() -> str:
    return "Nothing there."


@function_tool(needs_approval=True)
def delete() -> str:
    raise AssertionError("not approved")


async def test_text_tools_reasoning_and_tokens_come_through(loops: Loops) -> None:
    thought = ResponseReasoningItem(id="r", type="reasoning", summary=[Summary(text="Dice.", type="summary_text")])
    model = ScriptedModel(
        [
            [thought, assistant_message("Let me roll."), function_call("roll", {"sides": 6}, call_id="1")],
            [assistant_message("It is a 4.")],
        ],
        default_usage=USAGE,
    )
    assert await said(served(Agent("dice", model=model, tools=[roll]), loops)) == [
        Reasoning(delta="Dice."),
        Delta(delta="Let me roll."),
        ToolUse(phase="start", name="roll", tool_call_id="1", args={"sides": 6}),
        ToolUse(phase="result", name="roll", tool_call_id="1", result={"rolled": 4}),
        Delta(delta="It is a 4.", message=1),
        events.Usage(prompt_tokens=10, completion_tokens=6),
    ]


async def test_a_model_behind_a_chat_api_streams(loops: Loops) -> None:
    call: JsonValue = [
        {"index": 0, "id": "1", "type": "function", "function": {"name": "roll", "arguments": '{"sides": 6}'}}
    ]
    first = stream(chunk(tool_calls=call), chunk(finish="tool_calls", usage=None))
    second = stream(chunk(content="It is "), chunk(content="a 4."), DONE)
    async with upstream(first, second) as up, AsyncOpenAI(api_key=KEY, base_url=up.url, max_retries=0) as client:
        model = OpenAIChatCompletionsModel("m", client)
        assert await said(served(Agent("dice", model=model, tools=[roll]), loops)) == [
            ToolUse(phase="start", name="roll", tool_call_id="1", args={"sides": 6}),
            ToolUse(phase="result", name="roll", tool_call_id="1", result={"rolled": 4}),
            Delta(delta="It is "),
            Delta(delta="a 4."),
            events.Usage(prompt_tokens=12, completion_tokens=9),
        ]


async def test_the_conversation_is_given_in_the_framework_s_own_items(loops: Loops) -> None:
    model = ScriptedModel([[assistant_message("Hi.")]])
    history = [
        Turn(role="user", content="One"),
        Turn(role="assistant", content="Two"),
        Turn(role="tool", content="Three"),
    ]
    agent = Agent("bot", instructions="Speak Welsh.", model=model)
    assert await answer(served(agent, loops), asked("Four", system="Be brief.", history=history)) == "Hi."
    (call,) = model.calls
    assert call.system_instructions == "Speak Welsh."
    assert call.input == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "One"},
        {"role": "assistant", "content": "Two"},
        {"role": "user", "content": "Tool result:\nThree"},
        {"role": "user", "content": "Four"},
    ]


async def test_pictures_of_the_current_turn_are_given(loops: Loops) -> None:
    model = ScriptedModel([[assistant_message("A dot.")]])
    assert await answer(served(Agent("bot", model=model), loops), PICTURES) == "A dot."
    content = [
        {"type": "input_text", "text": "What is it?"},
        {"type": "input_image", "image_url": DOT, "detail": "auto"},
        {"type": "input_image", "image_url": PICTURE, "detail": "auto"},
    ]
    assert model.calls[0].input == [{"role": "user", "content": content}]


class Weather(BaseModel):
    city: str


async def test_an_output_that_is_no_text_is_the_json_that_the_model_wrote(loops: Loops) -> None:
    model = ScriptedModel([[assistant_message('{"city": "Bonn"}')]])
    assert await answer(served(Agent("weather", model=model, output_type=Weather), loops)) == '{"city": "Bonn"}'


async def test_a_tool_whose_result_is_the_output_has_the_last_word(loops: Loops) -> None:
    model = ScriptedModel([[assistant_message("Let me look."), function_call("look", {}, call_id="1")]])
    agent = Agent("bot", model=model, tools=[look], tool_use_behavior="stop_on_first_tool")
    assert await answer(served(agent, loops)) == "Let me look.\n\nNothing there."


async def test_a_handoff_is_seen_as_a_tool(loops: Loops) -> None:
    other = Agent("other", model=ScriptedModel([[assistant_message("I am the other.")]]))
    first = ScriptedModel([[function_call("transfer_to_other", {}, call_id="1")]])
    heard = await said(served(Agent("first", model=first, handoffs=[handoff(other)]), loops))
    assert ToolUse(phase="start", name="transfer_to_other", tool_call_id="1", args={}) in heard
    assert text(heard) == "I am the other."


async def test_a_server_that_refuses_is_an_upstream_error(loops: Loops) -> None:
    refused = refusal(401, f"Incorrect API key: {KEY}", "invalid_api_key")
    async with upstream(refused) as up, AsyncOpenAI(api_key=KEY, base_url=up.url, max_retries=0) as client:
        agent = Agent("bot", model=OpenAIChatCompletionsModel("m", client))
        with pytest.raises(RunError, match="refused this service's credentials") as failure:
            await said(served(agent, loops))
    assert failure.value.code is ErrorCode.UPSTREAM_ERROR
    assert KEY not in failure.value.detail


async def test_what_the_framework_gives_up_on_is_told(loops: Loops) -> None:
    model = ScriptedModel([[function_call("roll", {"sides": 6}, call_id=str(turn))] for turn in range(10)])
    with pytest.raises(RunError, match=r"Max turns \(10\) exceeded"):
        await said(served(Agent("dice", model=model, tools=[roll]), loops))


async def test_an_agent_that_waits_for_an_approval_fails(loops: Loops) -> None:
    model = ScriptedModel([[function_call("delete", {}, call_id="1")]])
    with pytest.raises(RunError, match="approval"):
        await said(served(Agent("bot", model=model, tools=[delete]), loops))


@pytest.mark.parametrize("speaking", [True, False])
async def test_a_cancelled_run_cancels_the_framework_s(loops: Loops, speaking: bool) -> None:
    begun, left = threading.Event(), threading.Event()

    async def thinks_for_ever(_: ModelCall) -> AsyncIterator[TResponseStreamEvent]:
        try:
            begun.set()
            while True:
                await asyncio.sleep(0.001 if speaking else 3600)
                yield delta("Hm")
        finally:
            left.set()

    model = ScriptedModel([ModelStep.stream(thinks_for_ever)])
    task = asyncio.create_task(said(served(Agent("bot", model=model), loops)))
    await until(begun.is_set)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert left.is_set()


def delta(text: str) -> TResponseStreamEvent:
    return ResponseTextDeltaEvent(
        type="response.output_text.delta",
        delta=text,
        content_index=0,
        item_id="1",
        logprobs=[],
        output_index=0,
        sequence_number=1,
    )
