from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypedDict

import httpx2
import openai
import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolCallChunk,
)
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import interrupt
from pydantic import BaseModel

from shared.run.errors import ErrorCode, RunError, SettingsError
from shared.run.events import Delta, Reasoning, ToolUse, Usage
from shared.run.run import Turn
from tests.worker.agents.asking import answer, asked, said, until
from tests.worker.agents.python.frameworks.pictures import DOT, PICTURE, PICTURES
from worker.agents.python.agent_loops import Loops
from worker.agents.python.frameworks.known import adapted
from worker.agents.python.python_agent import PythonAgent


class Scripted(BaseChatModel):
    """A model that streams one list of chunks after the other."""

    script: list[list[AIMessageChunk]]

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(self, messages: list[BaseMessage], *_: object, **__: object) -> ChatResult:
        whole, *rest = self.script.pop(0)
        for one in rest:
            whole += one
        return ChatResult(generations=[ChatGeneration(message=whole)])

    def _stream(self, messages: list[BaseMessage], *_: object, **__: object) -> Iterator[ChatGenerationChunk]:
        for one in self.script.pop(0):
            yield ChatGenerationChunk(message=one)


def served(graph: object, loops: Loops) -> PythonAgent:
    function = adapted(graph)
    assert function is not None
    return PythonAgent(function, loops)


def one_node(node: Callable[..., object], state: type = MessagesState, **options: Any) -> object:
    graph: StateGraph[Any] = StateGraph(state)
    graph.add_node("node", node)
    graph.add_edge(START, "node")
    return graph.compile(**options)


def tokens(prompt: int, completion: int) -> UsageMetadata:
    return UsageMetadata(input_tokens=prompt, output_tokens=completion, total_tokens=prompt + completion)


@tool
def roll(sides: int) -> dict[str, int]:
    """Rolls a die."""
    return {"rolled": sides - 2}


async def test_text_tools_reasoning_and_tokens_come_through(loops: Loops) -> None:
    call = ToolCallChunk(name="roll", args='{"sides": 6}', id="1", index=0)
    model = Scripted(
        script=[
            [
                AIMessageChunk(content=[{"type": "reasoning", "reasoning": "Dice.", "index": 0}]),
                AIMessageChunk(content="Let me "),
                AIMessageChunk(content="roll."),
                AIMessageChunk(content="", tool_call_chunks=[call], usage_metadata=tokens(5, 3)),
            ],
            [AIMessageChunk(content="It is a 4.", usage_metadata=tokens(7, 2))],
        ]
    )

    async def ask(state: MessagesState) -> dict[str, list[BaseMessage]]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("ask", ask)
    graph.add_node("tools", ToolNode([roll]))
    graph.add_edge(START, "ask")
    graph.add_conditional_edges("ask", tools_condition)
    graph.add_edge("tools", "ask")
    assert await said(served(graph.compile(), loops)) == [
        Reasoning(delta="Dice."),
        Delta(delta="Let me "),
        Delta(delta="roll."),
        ToolUse(phase="start", name="roll", tool_call_id="1", args={"sides": 6}),
        ToolUse(phase="result", name="roll", tool_call_id="1", result='{"rolled": 4}'),
        Delta(delta="It is a 4.", message=1),
        Usage(prompt_tokens=12, completion_tokens=5),
    ]


async def test_a_synchronous_node_streams_too(loops: Loops) -> None:
    model = GenericFakeChatModel(messages=iter(["Hello there"]))

    def ask(state: MessagesState) -> dict[str, list[BaseMessage]]:
        return {"messages": [model.invoke(state["messages"])]}

    assert await said(served(one_node(ask), loops)) == [Delta(delta=word) for word in ("Hello", " ", "there")]


async def test_a_message_that_no_model_wrote_is_said(loops: Loops) -> None:
    def says(_: MessagesState) -> dict[str, list[BaseMessage]]:
        return {"messages": [HumanMessage("not this"), AIMessage("One"), AIMessage("Two")]}

    assert await answer(served(one_node(says), loops)) == "One\n\nTwo"


@pytest.mark.parametrize("options", [{}, {"checkpointer": InMemorySaver()}], ids=["plain", "checkpointer"])
async def test_the_conversation_is_given_in_the_framework_s_own_messages(loops: Loops, options: dict[str, Any]) -> None:
    seen: list[Sequence[BaseMessage]] = []

    def looks(state: MessagesState) -> dict[str, list[BaseMessage]]:
        seen.append(list(state["messages"]))
        return {"messages": [AIMessage("Hi.")]}

    history = [
        Turn(role="user", content="One"),
        Turn(role="assistant", content="Two"),
        Turn(role="tool", content="Three"),
    ]
    graph = one_node(looks, **options)
    for _ in range(2):
        assert await answer(served(graph, loops), asked("Four", system="Be brief.", history=history)) == "Hi."
    for messages in seen:
        assert [(type(message), message.content) for message in messages] == [
            (SystemMessage, "Be brief."),
            (HumanMessage, "One"),
            (AIMessage, "Two"),
            (HumanMessage, "Tool result:\nThree"),
            (HumanMessage, "Four"),
        ]


async def test_pictures_of_the_current_turn_are_given(loops: Loops) -> None:
    seen: list[BaseMessage] = []

    def looks(state: MessagesState) -> dict[str, list[BaseMessage]]:
        seen.extend(state["messages"])
        return {"messages": [AIMessage("A dot.")]}

    assert await answer(served(one_node(looks), loops), PICTURES) == "A dot."
    assert [message.content for message in seen] == [
        [
            {"type": "text", "text": "What is it?"},
            {"type": "image_url", "image_url": {"url": DOT}},
            {"type": "image_url", "image_url": {"url": PICTURE}},
        ]
    ]


class Weather(BaseModel):
    city: str


class WeatherState(MessagesState):
    structured_response: Weather


async def test_a_structured_response_is_said_as_json(loops: Loops) -> None:
    def forecasts(_: WeatherState) -> dict[str, object]:
        return {"messages": [AIMessage("Here it is:")], "structured_response": Weather(city="Bonn")}

    assert await answer(served(one_node(forecasts, WeatherState), loops)) == 'Here it is:\n\n{"city":"Bonn"}'


def test_a_graph_without_messages_is_refused() -> None:
    class Sum(TypedDict):
        total: int

    with pytest.raises(SettingsError, match="whose state has no `messages`"):
        adapted(one_node(lambda state: {"total": state["total"] + 1}, Sum))


async def test_a_model_that_fails_is_an_upstream_error(loops: Loops) -> None:
    def refuses(_: MessagesState) -> dict[str, list[BaseMessage]]:
        answer = httpx2.Response(401, request=httpx2.Request("POST", "http://model.internal"))
        raise openai.AuthenticationError("no: sk-0123456789abcdef", response=answer, body=None)

    with pytest.raises(RunError, match="refused this service's credentials") as failure:
        await said(served(one_node(refuses), loops))
    assert failure.value.code is ErrorCode.UPSTREAM_ERROR
    assert "sk-" not in failure.value.detail


async def test_what_the_framework_gives_up_on_is_told(loops: Loops) -> None:
    graph = StateGraph(MessagesState)
    graph.add_node("ping", lambda _: {"messages": []})
    graph.add_edge(START, "ping")
    graph.add_conditional_edges("ping", lambda _: "ping", ["ping", END])
    with pytest.raises(RunError, match="Recursion limit of 3"):
        await said(served(graph.compile().with_config(recursion_limit=3), loops))


async def test_a_bug_of_a_node_stays_a_bug(loops: Loops) -> None:
    def fails(_: MessagesState) -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await said(served(one_node(fails), loops))


async def test_a_graph_that_waits_for_an_answer_fails(loops: Loops) -> None:
    def asks(_: MessagesState) -> dict[str, list[BaseMessage]]:
        return {"messages": [AIMessage(interrupt("Really?"))]}

    with pytest.raises(RunError, match="approval"):
        await said(served(one_node(asks, checkpointer=InMemorySaver()), loops))


async def test_a_cancelled_run_cancels_the_framework_s(loops: Loops) -> None:
    begun, left = threading.Event(), threading.Event()

    async def thinks_for_ever(_: MessagesState) -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            left.set()

    task = asyncio.create_task(said(served(one_node(thinks_for_ever), loops)))
    await until(begun.is_set)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert left.is_set()
