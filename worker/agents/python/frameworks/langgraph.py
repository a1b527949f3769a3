"""Runs a compiled LangGraph graph whose state has `messages`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from uuid import uuid4

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphRecursionError
from langgraph.pregel import Pregel
from pydantic import JsonValue

from shared.run.errors import SettingsError
from worker.agents.cleanup import closing
from worker.agents.protocol import AgentInput
from worker.agents.python.frameworks.adapter_events import (
    NEW_MESSAGE,
    AdapterEvent,
    as_text,
    pending_request,
    reasoning,
    tokens,
    tool,
)
from worker.agents.python.frameworks.framework_errors import FrameworkErrors
from worker.agents.python.frameworks.messages import Message, Picture, conversation


def langgraph_adapter(graph: object) -> Callable[[AgentInput], AsyncIterator[AdapterEvent]]:
    assert isinstance(graph, Pregel)
    if "messages" not in graph.channels:
        raise SettingsError(
            "is a LangGraph graph whose state has no `messages`; add them, or write a function that calls the graph"
        )

    async def answer(input: AgentInput) -> AsyncIterator[AdapterEvent]:
        answer = _LangGraphTranslator()
        # A graph with a checkpointer requires a thread. Each run gets a new one: the worker provides the history.
        config: RunnableConfig = {"configurable": {"thread_id": str(uuid4())}}
        with FrameworkErrors(GraphRecursionError):
            stream = graph.astream({"messages": _messages(input)}, config, stream_mode=["messages", "updates"])
            async with closing(stream) as parts:
                async for mode, data in parts:
                    for event in answer.read(mode, data):
                        yield event
        for event in answer.end():
            yield event

    return answer


def _messages(input: AgentInput) -> list[BaseMessage]:
    system = [SystemMessage(input.extra_system_prompt)] if input.extra_system_prompt else []
    return [*system, *map(_message, conversation(input))]


def _message(message: Message) -> BaseMessage:
    content = message.content if isinstance(message.content, str) else [*map(_piece, message.content)]
    return AIMessage(content) if message.role == "assistant" else HumanMessage(content)


def _piece(piece: str | Picture) -> str | dict[str, JsonValue]:
    """A piece in OpenAI's form, which LangChain accepts for every model."""
    if isinstance(piece, Picture):
        return {"type": "image_url", "image_url": {"url": piece.url}}
    return {"type": "text", "text": piece}


class _LangGraphTranslator:
    """Turns the stream of one run into events.

    Text comes as `messages`: tokens of the models that nodes call, and the other messages that nodes return. Tools
    come as `updates`, which hold their calls whole.
    """

    def __init__(self) -> None:
        self._message = ""  # id of the current message
        self._prompt = self._completion = 0
        self._structured: object = None

    def read(self, mode: str, data: object) -> Iterator[AdapterEvent]:
        match mode, data:
            case "messages", (AIMessage() as message, _):
                yield from self._blocks(message)
            case "updates", {"__interrupt__": _}:
                raise pending_request("langgraph")
            case "updates", dict():
                for update in data.values():
                    yield from self._updated(update)

    def end(self) -> Iterator[AdapterEvent]:
        if self._prompt or self._completion:
            yield tokens(self._prompt, self._completion)
        if self._structured is not None:
            yield NEW_MESSAGE
            yield as_text(self._structured)

    def _blocks(self, message: AIMessage) -> Iterator[AdapterEvent]:
        if message.id != self._message:
            self._message = str(message.id)
            yield NEW_MESSAGE
        for block in message.content_blocks:
            match block:
                case {"type": "text", "text": str(text)}:
                    yield text
                case {"type": "reasoning", "reasoning": str(text)}:
                    yield reasoning(text)
        if message.usage_metadata is not None:
            self._prompt += message.usage_metadata["input_tokens"]
            self._completion += message.usage_metadata["output_tokens"]

    def _updated(self, update: object) -> Iterator[AdapterEvent]:
        if not isinstance(update, Mapping):
            return
        self._structured = update.get("structured_response", self._structured)
        messages = update.get("messages")
        for message in messages if isinstance(messages, list) else [messages]:
            match message:
                case AIMessage(tool_calls=calls):
                    for call in calls:
                        yield tool("start", call["name"], call["id"], args=call["args"])
                case ToolMessage(name=name, tool_call_id=call_id, content=content):
                    yield tool("result", name, call_id, result=content)
