"""Runs an agent of the OpenAI Agents SDK."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

from agents import Agent, ItemHelpers, Runner, RunResultStreaming
from agents.exceptions import AgentsException
from agents.items import (
    HandoffCallItem,
    MessageOutputItem,
    RunItem,
    ToolCallItem,
    ToolCallOutputItem,
    TResponseInputItem,
    TResponseStreamEvent,
)
from agents.stream_events import RawResponsesStreamEvent, RunItemStreamEvent, StreamEvent
from openai.types import responses

from worker.agents.cleanup import closing
from worker.agents.protocol import AgentInput
from worker.agents.python.frameworks.adapter_events import (
    NEW_MESSAGE,
    AdapterEvent,
    arguments,
    as_text,
    pending_request,
    reasoning,
    tokens,
    tool,
)
from worker.agents.python.frameworks.framework_errors import FrameworkErrors
from worker.agents.python.frameworks.messages import Message, Picture, conversation


def openai_agents_adapter(agent: object) -> Callable[[AgentInput], AsyncIterator[AdapterEvent]]:
    assert isinstance(agent, Agent)

    async def answer(input: AgentInput) -> AsyncIterator[AdapterEvent]:
        answer = _OpenAIAgentsTranslator()
        with FrameworkErrors(AgentsException):
            run = Runner.run_streamed(agent, _messages(input))
            async with closing(run.stream_events()) as events, _ended(run):
                async for event in events:
                    for adapted in answer.read(event):
                        yield adapted
            for adapted in answer.end(run):
                yield adapted

    return answer


@asynccontextmanager
async def _ended(run: RunResultStreaming) -> AsyncIterator[None]:
    """Ends the SDK's run at the end of the block. It has a task of its own, which would go on without a reader."""
    try:
        yield
    finally:
        if not run.is_complete:
            run.cancel()
        if run.run_loop_task is not None:
            await asyncio.wait({run.run_loop_task})


def _messages(input: AgentInput) -> list[TResponseInputItem]:
    system: list[TResponseInputItem] = []
    if input.extra_system_prompt:
        system = [{"role": "system", "content": input.extra_system_prompt}]
    return [*system, *map(_message, conversation(input))]


def _message(message: Message) -> TResponseInputItem:
    if isinstance(message.content, str):
        return {"role": message.role, "content": message.content}
    return {"role": message.role, "content": [*map(_piece, message.content)]}


def _piece(piece: str | Picture) -> responses.ResponseInputContentParam:
    if isinstance(piece, Picture):
        return {"type": "input_image", "image_url": piece.url, "detail": "auto"}
    return {"type": "input_text", "text": piece}


class _OpenAIAgentsTranslator:
    """Turns the SDK's events of one run into adapter events."""

    def __init__(self) -> None:
        self._has_text = False  # whether text came since the last request to the model, or since the last tool call
        self._tools: dict[str, str] = {}  # names by the ids of their calls

    def read(self, event: StreamEvent) -> Iterator[AdapterEvent]:
        match event:
            case RawResponsesStreamEvent(data=data):
                yield from self._raw(data)
            case RunItemStreamEvent(item=item):
                yield from self._item(item)

    def _raw(self, event: TResponseStreamEvent) -> Iterator[AdapterEvent]:
        match event:
            case responses.ResponseCreatedEvent():
                self._has_text = False
                yield NEW_MESSAGE
            case responses.ResponseOutputItemAddedEvent(item=responses.ResponseOutputMessage()):
                yield NEW_MESSAGE
            case responses.ResponseTextDeltaEvent(delta=text) | responses.ResponseRefusalDeltaEvent(delta=text):
                self._has_text = True
                yield text
            case (
                responses.ResponseReasoningTextDeltaEvent(delta=text)
                | responses.ResponseReasoningSummaryTextDeltaEvent(delta=text)
            ):
                yield reasoning(text)

    def _item(self, item: RunItem) -> Iterator[AdapterEvent]:
        match item:
            case MessageOutputItem() if not self._has_text:  # of a model that does not stream
                self._has_text = True
                yield ItemHelpers.text_message_output(item)
            case ToolCallItem(raw_item=call) | HandoffCallItem(raw_item=call):
                self._has_text = False
                name, call_id = _field(call, "name") or _field(call, "type"), _field(call, "call_id")
                self._tools[call_id] = name
                yield tool("start", name, call_id, args=arguments(_field(call, "arguments")))
            case ToolCallOutputItem(raw_item=call, output=output):
                call_id = _field(call, "call_id")
                yield tool("result", self._tools.get(call_id, ""), call_id, result=output)

    def end(self, run: RunResultStreaming) -> Iterator[AdapterEvent]:
        usage = run.context_wrapper.usage
        yield tokens(usage.input_tokens, usage.output_tokens)
        if run.interruptions:
            raise pending_request("openai-agents")
        if not self._has_text and run.final_output is not None:
            yield NEW_MESSAGE
            yield as_text(run.final_output)


def _field(item: object, name: str) -> str:
    """A field of an item, which the SDK has as a dict or as an object; empty if the item has no such field."""
    return str((item.get(name) if isinstance(item, dict) else getattr(item, name, None)) or "")
