"""Turns a streamed chat completion into the agent's events: chunks in, events out. Pure.

Servers that call themselves compatible differ. The parser accepts these known differences: calls without an index, or
all with the same index; calls without an id, or with another id in each piece; the id and name again in each piece; the
reason `stop` for an answer with calls; usage in every chunk; text as a list of parts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import uuid4

from openai.types.chat import ChatCompletionChunk
from openai.types.chat.chat_completion_chunk import Choice, ChoiceDeltaToolCall
from openai.types.completion_usage import CompletionUsage

from shared.run.errors import RunError
from shared.run.events import Delta, FinishReason, Reasoning, ToolCallDelta, Usage
from shared.run.json_object import JsonObject, too_deep
from shared.run.text import well_formed
from worker.agents.model_refusal import BROKEN_OFF, FAILED, NO_FORMAT, Refusal
from worker.agents.protocol import AgentEvent, Finished
from worker.agents.token_counts import token_count

_REASONS = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
    "safety": FinishReason.CONTENT_FILTER,
}
_FAILURES = {"error", "abort"}  # OpenRouter's and vLLM's: the answer was cut off


class UpstreamAnswerParser:
    """One answer."""

    def __init__(self) -> None:
        self._usage: CompletionUsage | None = None
        self._calls = _Calls()
        self._reason: str | None = None

    @property
    def over(self) -> bool:
        """Whether the model has told why it stopped. Only token counts may follow."""
        return self._reason is not None

    def feed(self, chunk: ChatCompletionChunk) -> Iterator[AgentEvent]:
        self._usage = chunk.usage or self._usage  # some servers send it with every chunk: the last one counts
        for choice in chunk.choices or ():
            if not choice.index and choice.delta is not None:  # the request was for one answer
                yield from self._events(choice)

    def end(self) -> Iterator[AgentEvent]:
        """Raises RunError when the answer was cut off: it must not look whole."""
        if self._usage is not None:
            yield _counted(self._usage)
        if self._reason is None:
            raise _failure(BROKEN_OFF)
        if self._reason in _FAILURES:
            raise _failure(FAILED, f"finish_reason: {self._reason}")
        if self._calls.nameless:
            raise _failure(NO_FORMAT, "a tool call without the name of a function")
        yield Finished(reason=_REASONS.get(self._reason.lower(), FinishReason.STOP))

    def _events(self, choice: Choice) -> Iterator[AgentEvent]:
        extra = choice.delta.model_extra or {}
        reasoning = extra.get("reasoning_content") or extra.get("reasoning")  # vLLM, DeepSeek; Ollama, OpenRouter
        if reasoning and isinstance(reasoning, str):
            yield Reasoning(delta=well_formed(reasoning))
        if text := _text(choice.delta.content) or choice.delta.refusal:
            yield Delta(delta=well_formed(text))
        for piece in choice.delta.tool_calls or ():
            yield from self._calls.feed(piece)
        if choice.finish_reason is not None:
            self._reason = str(choice.finish_reason)


@dataclass
class _Open:
    """A call that may get more pieces. It is emitted as soon as its name is known; until then it holds its pieces."""

    id: str
    name: str = ""
    number: int | None = None
    arguments: str = ""  # held
    extra: JsonObject = field(default_factory=dict)  # held


class _Calls:
    """The calls of an answer, numbered from 0. Each emits its id and its name once."""

    def __init__(self) -> None:
        self._open: list[_Open] = []
        self._by_index: dict[int, _Open] = {}
        self._emitted = 0

    @property
    def nameless(self) -> bool:
        return self._emitted < len(self._open)

    def feed(self, piece: ChoiceDeltaToolCall) -> Iterator[ToolCallDelta]:
        name = (piece.function and piece.function.name) or ""
        call = self._known(piece.index, piece.id or "", name) or self._new(piece)
        call.name = call.name or name
        arguments, extra = call.arguments + _arguments(piece), call.extra | _extra(piece)
        if not call.name:
            call.arguments, call.extra = arguments, extra
        elif call.number is None:
            call.number, self._emitted = self._emitted, self._emitted + 1
            id, name = well_formed(call.id), well_formed(call.name)
            yield ToolCallDelta(index=call.number, id=id, name=name, arguments=arguments, extra=extra)
            call.arguments, call.extra = "", {}
        elif arguments or extra:
            yield ToolCallDelta(index=call.number, arguments=arguments, extra=extra)

    def _known(self, index: int | None, id: str, name: str) -> _Open | None:
        """The call that a piece continues. Another id with a name begins another call, even at the same index."""
        if index in self._by_index:
            call = self._by_index[index]
            return None if call.name and name and id and id != call.id else call
        if index is not None:
            return None
        same = [call for call in self._open if id and call.id == id]
        return same[0] if same else self._open[-1] if self._open and not (id or name) else None

    def _new(self, piece: ChoiceDeltaToolCall) -> _Open:
        call = _Open(id=piece.id or f"call_{uuid4().hex}")
        self._open.append(call)
        if piece.index is not None:
            self._by_index[piece.index] = call
        return call


def _arguments(piece: ChoiceDeltaToolCall) -> str:
    arguments: object = piece.function and piece.function.arguments
    if arguments is None or isinstance(arguments, str):
        return well_formed(arguments or "")
    return well_formed(json.dumps(arguments))


def _extra(piece: ChoiceDeltaToolCall) -> JsonObject:
    """The server's own fields, such as Gemini's signatures, which it requires with the result."""
    extra: JsonObject = json.loads(well_formed(json.dumps(piece.model_extra or {}, ensure_ascii=False)))
    return {} if too_deep(extra) else extra


def _text(content: object) -> str:
    match content:
        case str():
            return content
        case list():
            parts = (part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text")
            return "".join(text for text in parts if isinstance(text, str))
        case _:
            return ""


def _counted(usage: CompletionUsage) -> Usage:
    counts = {
        name: token_count(getattr(usage, name, None)) for name in ("prompt_tokens", "completion_tokens", "total_tokens")
    }
    return Usage.model_validate({name: number for name, number in counts.items() if number})


def _failure(refusal: Refusal, detail: str = "") -> RunError:
    return RunError(refusal.code, refusal.message, detail)
