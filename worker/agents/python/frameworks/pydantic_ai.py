"""Runs a `pydantic_ai.Agent`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

from pydantic_ai import messages as pydantic_messages
from pydantic_ai.agent import AbstractAgent
from pydantic_ai.capabilities import ReinjectSystemPrompt
from pydantic_ai.exceptions import AgentRunError
from pydantic_ai.run import AgentRunResult, AgentRunResultEvent
from pydantic_ai.tools import DeferredToolRequests

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

Event = pydantic_messages.AgentStreamEvent | AgentRunResultEvent[object]


def pydantic_ai_adapter(agent: object) -> Callable[[AgentInput], AsyncIterator[AdapterEvent]]:
    assert isinstance(agent, AbstractAgent)

    async def answer(input: AgentInput) -> AsyncIterator[AdapterEvent]:
        answer = _PydanticAITranslator()
        *history, message = conversation(input)
        with FrameworkErrors(AgentRunError):
            async with agent.run_stream_events(
                _content(message),
                message_history=[*map(_message, history)],
                instructions=input.extra_system_prompt or None,
                capabilities=[ReinjectSystemPrompt(id=None)],  # with a history, the agent would omit `system_prompt`
            ) as events:
                async for event in events:
                    for adapted in answer.read(event):
                        yield adapted

    return answer


def _message(message: Message) -> pydantic_messages.ModelMessage:
    content = _content(message)
    if message.role == "assistant" and isinstance(content, str):
        return pydantic_messages.ModelResponse(parts=[pydantic_messages.TextPart(content)])
    return pydantic_messages.ModelRequest(parts=[pydantic_messages.UserPromptPart(content)])


def _content(message: Message) -> str | list[pydantic_messages.UserContent]:
    return message.content if isinstance(message.content, str) else [*map(_piece, message.content)]


def _piece(piece: str | Picture) -> pydantic_messages.UserContent:
    match piece:
        case str():
            return piece
        case Picture(url=url) if url.startswith("data:"):
            return pydantic_messages.BinaryContent.from_data_uri(url)
        case Picture(url=url):
            return pydantic_messages.ImageUrl(url)


class _PydanticAITranslator:
    """Turns the framework's events of one run into adapter events."""

    def __init__(self) -> None:
        self._has_text = False  # whether text came since the last request to the model, or since the last tool call

    def read(self, event: Event) -> Iterator[AdapterEvent]:
        match event:
            case pydantic_messages.PartStartEvent(index=index, part=part):
                if index == 0:
                    self._has_text = False
                    yield NEW_MESSAGE
                yield from self._part(part)
            case pydantic_messages.PartDeltaEvent(delta=pydantic_messages.TextPartDelta(content_delta=text)):
                yield from self._text(text)
            case pydantic_messages.PartDeltaEvent(delta=pydantic_messages.ThinkingPartDelta(content_delta=str(text))):
                yield reasoning(text)
            case pydantic_messages.PartEndEvent(part=pydantic_messages.NativeToolCallPart() as call):
                yield tool("start", call.tool_name, call.tool_call_id, args=arguments(call.args))
            case pydantic_messages.FunctionToolCallEvent(part=call):
                yield tool("start", call.tool_name, call.tool_call_id, args=arguments(call.args))
            case pydantic_messages.FunctionToolResultEvent(part=result):
                yield tool("result", result.tool_name, result.tool_call_id, result=result.content)
            case pydantic_messages.OutputToolCallEvent():
                self._has_text = False
            case AgentRunResultEvent(result=result):
                yield from self._end(result)

    def _part(self, part: pydantic_messages.ModelResponsePart) -> Iterator[AdapterEvent]:
        match part:
            case pydantic_messages.TextPart(content=text):
                yield from self._text(text)
            case pydantic_messages.ThinkingPart(content=text):
                yield reasoning(text)
            case pydantic_messages.NativeToolReturnPart():
                yield tool("result", part.tool_name, part.tool_call_id, result=part.content)

    def _text(self, text: str) -> Iterator[AdapterEvent]:
        if text:
            self._has_text = True
            yield text

    def _end(self, result: AgentRunResult[object]) -> Iterator[AdapterEvent]:
        yield tokens(result.usage.input_tokens, result.usage.output_tokens)
        if isinstance(result.output, DeferredToolRequests):
            raise pending_request("pydantic_ai")
        if not self._has_text and result.output is not None:
            yield NEW_MESSAGE
            yield as_text(result.output)
