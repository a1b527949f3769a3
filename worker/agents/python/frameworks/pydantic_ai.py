"""A `pydantic_ai.Agent`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

from pydantic_ai import messages as said_by
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
    nobody_to_ask,
    reasoning,
    tokens,
    tool,
)
from worker.agents.python.frameworks.framework_errors import FrameworkErrors
from worker.agents.python.frameworks.messages import Message, Picture, conversation

Event = said_by.AgentStreamEvent | AgentRunResultEvent[object]


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
                capabilities=[ReinjectSystemPrompt(id=None)],  # with a history, `system_prompt` would be left out
            ) as events:
                async for event in events:
                    for said in answer.read(event):
                        yield said

    return answer


def _message(message: Message) -> said_by.ModelMessage:
    content = _content(message)
    if message.role == "assistant" and isinstance(content, str):
        return said_by.ModelResponse(parts=[said_by.TextPart(content)])
    return said_by.ModelRequest(parts=[said_by.UserPromptPart(content)])


def _content(message: Message) -> str | list[said_by.UserContent]:
    return message.content if isinstance(message.content, str) else [*map(_piece, message.content)]


def _piece(piece: str | Picture) -> said_by.UserContent:
    match piece:
        case str():
            return piece
        case Picture(url=url) if url.startswith("data:"):
            return said_by.BinaryContent.from_data_uri(url)
        case Picture(url=url):
            return said_by.ImageUrl(url)


class _PydanticAITranslator:
    """Events of one run in, what it says out."""

    def __init__(self) -> None:
        self._told = False  # whether there is text since the model was last asked, or since it used a tool

    def read(self, event: Event) -> Iterator[AdapterEvent]:
        match event:
            case said_by.PartStartEvent(index=index, part=part):
                if index == 0:
                    self._told = False
                    yield NEW_MESSAGE
                yield from self._part(part)
            case said_by.PartDeltaEvent(delta=said_by.TextPartDelta(content_delta=text)):
                yield from self._text(text)
            case said_by.PartDeltaEvent(delta=said_by.ThinkingPartDelta(content_delta=str(text))):
                yield reasoning(text)
            case said_by.PartEndEvent(part=said_by.NativeToolCallPart() as call):
                yield tool("start", call.tool_name, call.tool_call_id, args=arguments(call.args))
            case said_by.FunctionToolCallEvent(part=call):
                yield tool("start", call.tool_name, call.tool_call_id, args=arguments(call.args))
            case said_by.FunctionToolResultEvent(part=result):
                yield tool("result", result.tool_name, result.tool_call_id, result=result.content)
            case said_by.OutputToolCallEvent():
                self._told = False
            case AgentRunResultEvent(result=result):
                yield from self._end(result)

    def _part(self, part: said_by.ModelResponsePart) -> Iterator[AdapterEvent]:
        match part:
            case said_by.TextPart(content=text):
                yield from self._text(text)
            case said_by.ThinkingPart(content=text):
                yield reasoning(text)
            case said_by.NativeToolReturnPart():
                yield tool("result", part.tool_name, part.tool_call_id, result=part.content)

    def _text(self, text: str) -> Iterator[AdapterEvent]:
        if text:
            self._told = True
            yield text

    def _end(self, result: AgentRunResult[object]) -> Iterator[AdapterEvent]:
        yield tokens(result.usage.input_tokens, result.usage.output_tokens)
        if isinstance(result.output, DeferredToolRequests):
            raise nobody_to_ask("pydantic_ai")
        if not self._told and result.output is not None:
            yield NEW_MESSAGE
            yield as_text(result.output)
